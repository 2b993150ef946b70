//! What the letters alone say: the script of a text, and letters that only one language, or none of the detector's, writes.

/// A group of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Cyrillic,
    Arabic,
    Han,
    Kana,
    /// A script whose captions are of one language, nearly always.
    Single(&'static str),
    Other,
}

/// Scripts with their ranges in Unicode, in ascending order; letters between them are of scripts that we do not name.
const RANGES: [(u32, u32, Script); 33] = [
    (0x0041, 0x024F, Script::Latin),
    (0x0370, 0x03FF, Script::Single("el")),
    (0x0400, 0x052F, Script::Cyrillic),
    (0x0531, 0x058F, Script::Single("hy")),
    (0x0590, 0x05FF, Script::Single("he")),
    (0x0600, 0x06FF, Script::Arabic),
    (0x0750, 0x077F, Script::Arabic),
    (0x0900, 0x097F, Script::Single("hi")),
    (0x0980, 0x09FF, Script::Single("bn")),
    (0x0A00, 0x0A7F, Script::Single("pa")),
    (0x0A80, 0x0AFF, Script::Single("gu")),
    (0x0B80, 0x0BFF, Script::Single("ta")),
    (0x0C00, 0x0C7F, Script::Single("te")),
    (0x0C80, 0x0CFF, Script::Single("kn")),
    (0x0D00, 0x0D7F, Script::Single("ml")),
    (0x0D80, 0x0DFF, Script::Single("si")),
    (0x0E00, 0x0E7F, Script::Single("th")),
    (0x0E80, 0x0EFF, Script::Single("lo")),
    (0x1000, 0x109F, Script::Single("my")),
    (0x10A0, 0x10FF, Script::Single("ka")),
    (0x1100, 0x11FF, Script::Single("ko")),
    (0x1200, 0x139F, Script::Single("am")),
    (0x1780, 0x17FF, Script::Single("km")),
    (0x1E00, 0x1EFF, Script::Latin),
    (0x1F00, 0x1FFF, Script::Single("el")),
    (0x3041, 0x30FF, Script::Kana),
    (0x3130, 0x318F, Script::Single("ko")),
    (0x3400, 0x4DBF, Script::Han),
    (0x4E00, 0x9FFF, Script::Han),
    (0xAC00, 0xD7AF, Script::Single("ko")),
    (0xFF21, 0xFF5A, Script::Latin),
    (0xFF66, 0xFF9D, Script::Kana),
    (0x20000, 0x3FFFF, Script::Han),
];

/// The script of a letter; `None` for what is no letter.
pub(super) fn script(letter: char) -> Option<Script> {
    if letter.is_ascii() {
        return letter.is_ascii_alphabetic().then_some(Script::Latin);
    }
    if !letter.is_alphabetic() {
        return None;
    }
    let code = letter as u32;
    let at = RANGES.partition_point(|&(_, end, _)| end < code);
    Some(
        RANGES
            .get(at)
            .filter(|&&(start, _, _)| start <= code)
            .map_or(Script::Other, |&(_, _, script)| script),
    )
}

/// Codes of the languages that [`Script::Single`] names, once for each range.
pub(super) fn single_languages() -> impl Iterator<Item = &'static str> {
    RANGES.iter().filter_map(|&(_, _, script)| match script {
        Script::Single(code) => Some(code),
        _ => None,
    })
}

/// Characters of the Japanese norm (shinjitai, and those made in Japan) that neither norm of Chinese has.
const JAPANESE_ONLY: &str = "亜悪圧囲壱隠栄営駅円塩縁応桜奥仮絵拡殻覚楽渇勧歓観気帰犠拠挙暁駆恵渓経継茎蛍軽鶏芸撃県剣険圏検権顕験厳広鉱黒済斎剤雑桟歯児釈\
収従渋獣縦粛処焼奨乗浄剰畳縄壌嬢譲醸図粋穂髄瀬斉摂専戦潜繊銭巣総騒増蔵臓続堕対帯滞沢択単団弾遅鋳庁聴逓鉄転伝闘徳読弐悩脳覇廃売発髪抜浜払仏\
辺変舗歩豊毎満黙訳薬揺様謡頼覧竜両猟緑塁戻霊齢労録働込畑峠辻枠匂";

/// Whether a Han character is written in Japan alone.
pub(super) fn only_japanese(letter: char) -> bool {
    JAPANESE_ONLY.contains(letter)
}

/// Latin letters beyond ASCII, in lower case, of German, English, Spanish, French, Italian, Dutch, Portuguese, Swedish, Turkish and Vietnamese.
const LATIN: &str = "àáâãäåæçèéêëìíîïñòóôõöœùúûüýÿßğışăđĩũơưªº";

/// Whether a lower-case letter is in none of the alphabets that the detector tells apart: Polish ł, Ukrainian ї, Persian پ.
pub(super) fn is_foreign(letter: char, script: Script) -> bool {
    match script {
        Script::Latin => {
            let known = letter.is_ascii() || ('\u{1EA0}'..='\u{1EF9}').contains(&letter);
            !known && !LATIN.contains(letter)
        }
        Script::Cyrillic => !('а'..='ё').contains(&letter) || letter == 'ѐ',
        Script::Arabic => !('\u{0621}'..='\u{064A}').contains(&letter),
        _ => false,
    }
}
