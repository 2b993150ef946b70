//! Captions from templates, in six languages. Words are chosen so that no template needs agreement between adjective and noun
//! (German "in Rot", French "de couleur rouge", Russian "красного цвета"), which keeps one form of each word enough.
use crate::draw::palette::PALETTE;
use crate::draw::setting::{Ground, Setting};
use crate::draw::table::Counted;
use crate::random::Stream;
use crate::sample::{CaptionPlan, Latents, World};
use crate::{CaptionKind, Language};

/// The text of a row's caption. Never empty, never with a line break.
pub(crate) fn caption(world: &World, plan: &CaptionPlan) -> String {
    let mut stream = world.caption_stream(plan.row);
    if plan.kind == CaptionKind::FileName {
        return file_name(&mut stream);
    }
    let latents = world.told(plan);
    match plan.language {
        Language::English => english(&latents, &mut stream),
        Language::German => german(&latents, &mut stream),
        Language::French => french(&latents, &mut stream),
        Language::Spanish => spanish(&latents, &mut stream),
        Language::Russian => russian(&latents, &mut stream),
        Language::Chinese => chinese(&latents, &mut stream),
    }
}

fn file_name(stream: &mut Stream) -> String {
    let number = stream.below(10_000);
    match stream.below(6) {
        0 => format!("IMG_{number:04}.jpg"),
        1 => format!("DSC{number:05}"),
        2 => format!("P10{number:05}.JPG"),
        3 => format!("image ({}).png", number % 97),
        4 => format!("DSCF{number:04}.JPG"),
        _ => format!(
            "20{:02}{:02}{:02}_{:06}.jpg",
            8 + number % 16,
            1 + stream.below(12),
            1 + stream.below(28),
            stream.below(240_000)
        ),
    }
}

/// Whether the setting can be seen in the picture (patterns and pages fill it).
fn shows_setting(latents: &Latents) -> bool {
    latents.concept().settings.len() > 1
}

fn setting_words(setting: Setting, language: Language) -> &'static str {
    let place = Language::ALL.iter().position(|&other| other == language).unwrap_or(0);
    let words = match setting {
        Setting::Day => [
            "under a blue sky",
            "unter blauem Himmel",
            "sous un ciel bleu",
            "bajo un cielo azul",
            "под голубым небом",
            "蓝天下",
        ],
        Setting::Dusk => {
            ["at dusk", "in der Abenddämmerung", "au crépuscule", "al atardecer", "в сумерках", "黄昏时"]
        }
        Setting::Night => ["at night", "bei Nacht", "la nuit", "de noche", "ночью", "夜里"],
        Setting::Snow => {
            ["in falling snow", "im Schneefall", "sous la neige", "bajo la nieve", "под снегом", "雪中"]
        }
        Setting::Fog => ["in fog", "im Nebel", "dans le brouillard", "en la niebla", "в тумане", "雾中"],
        Setting::White => [
            "on a white background",
            "vor weißem Hintergrund",
            "sur fond blanc",
            "sobre fondo blanco",
            "на белом фоне",
            "白色背景",
        ],
        Setting::Dark => [
            "on a dark background",
            "vor dunklem Hintergrund",
            "sur fond sombre",
            "sobre fondo oscuro",
            "на тёмном фоне",
            "深色背景",
        ],
        Setting::Pastel => [
            "on a soft pastel background",
            "vor zartem Pastellhintergrund",
            "sur fond pastel",
            "sobre fondo pastel",
            "на пастельном фоне",
            "柔和背景",
        ],
        Setting::Wood => [
            "on a wooden table",
            "auf einem Holztisch",
            "sur une table en bois",
            "sobre una mesa de madera",
            "на деревянном столе",
            "木桌上",
        ],
        Setting::Paper => [
            "on squared paper",
            "auf kariertem Papier",
            "sur papier quadrillé",
            "sobre papel cuadriculado",
            "на бумаге в клетку",
            "方格纸上",
        ],
    };
    words[place]
}

const NUMBERS: [[&str; 6]; 6] = [
    ["one", "ein", "un", "un", "один", "一"],
    ["two", "zwei", "deux", "dos", "два", "两"],
    ["three", "drei", "trois", "tres", "три", "三"],
    ["four", "vier", "quatre", "cuatro", "четыре", "四"],
    ["five", "fünf", "cinq", "cinco", "пять", "五"],
    ["six", "sechs", "six", "seis", "шесть", "六"],
];

/// How many things the caption tells of; 1 where the count is of parts.
fn things(latents: &Latents) -> usize {
    if matches!(latents.concept().counted, Counted::Things) { latents.count.clamp(1, 6) as usize } else { 1 }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn english(latents: &Latents, stream: &mut Stream) -> String {
    let concept = latents.concept();
    let (color, accent) = (PALETTE[usize::from(latents.color)].en, PALETTE[usize::from(latents.accent)].en);
    let number = things(latents);
    let noun = concept.words.en[usize::from(number > 1)];
    let subject = if number > 1 {
        format!("{} {color} {noun}", NUMBERS[number - 1][0])
    } else {
        format!("{} {color} {noun}", article(color))
    };
    let mut parts = String::new();
    if let Counted::Parts(one, many) = concept.counted {
        let count = latents.count.clamp(1, 6) as usize;
        parts = format!(" with {} {}", NUMBERS[count - 1][0], if count == 1 { one } else { many });
    }
    let mut place = String::new();
    if shows_setting(latents) {
        if concept.ground == Ground::Water && !parts.is_empty() || concept.key == "sailboat" {
            place.push_str(" on calm water");
        }
        place = format!("{place} {}", setting_words(latents.setting, Language::English));
    }
    let size = match latents.size {
        size if size < 0.15 => "small ",
        size if size > 0.85 => "large ",
        _ => "",
    };
    match stream.below(8) {
        0 => format!("a photo of {subject}{parts}{place}"),
        1 => format!("{}{parts}{place}, with {accent} details", capitalised(&subject)),
        2 => format!("{}{place} - {color} and {accent} stock image", capitalised(noun)),
        3 => format!("{subject}{parts}{place}"),
        4 => format!(
            "{}: {subject}{parts}{place}",
            ["Illustration", "Drawing", "Poster"][stream.below(3) as usize]
        ),
        5 if number == 1 => format!(
            "{} {size}{color} and {accent} {noun}{parts}{place}",
            capitalised(article(&format!("{size}{color}")))
        ),
        6 => format!("{}{parts}{place} | buy prints online", capitalised(&subject)),
        _ => format!("{subject} in {color} and {accent}{parts}{place}").replacen(
            &format!("{color} {noun}"),
            noun,
            1,
        ),
    }
}

/// The pieces that the five other languages share: number word (empty for one), noun, setting (empty where none shows).
fn pieces(
    latents: &Latents,
    language: Language,
    words: [&'static str; 2],
) -> (&'static str, &'static str, &'static str) {
    let place = Language::ALL.iter().position(|&other| other == language).unwrap_or(0);
    let number = things(latents);
    let count = if number > 1 { NUMBERS[number - 1][place] } else { "" };
    let setting = if shows_setting(latents) { setting_words(latents.setting, language) } else { "" };
    (count, words[usize::from(number > 1)], setting)
}

/// Joins with single spaces, leaving out what is empty.
fn joined(words: &[&str]) -> String {
    let mut text = String::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

fn german(latents: &Latents, stream: &mut Stream) -> String {
    let (count, noun, setting) = pieces(latents, Language::German, latents.concept().words.de);
    let (color, accent) = (PALETTE[usize::from(latents.color)].de, PALETTE[usize::from(latents.accent)].de);
    match stream.below(3) {
        0 => joined(&["Foto:", count, noun, "in", color, setting]),
        1 => capitalised(&joined(&[count, noun, "in", color, "und", accent, setting])),
        _ => capitalised(&joined(&[count, noun, setting, "- Farbe", color])),
    }
}

fn french(latents: &Latents, stream: &mut Stream) -> String {
    let (count, noun, setting) = pieces(latents, Language::French, latents.concept().words.fr);
    let color = PALETTE[usize::from(latents.color)].fr;
    match stream.below(3) {
        0 => joined(&["Photo :", count, noun, "de couleur", color, setting]),
        1 => capitalised(&joined(&[count, noun, "de couleur", color, setting])),
        _ => capitalised(&joined(&[count, noun, setting, "- couleur", color])),
    }
}

fn spanish(latents: &Latents, stream: &mut Stream) -> String {
    let (count, noun, setting) = pieces(latents, Language::Spanish, latents.concept().words.es);
    let (color, accent) = (PALETTE[usize::from(latents.color)].es, PALETTE[usize::from(latents.accent)].es);
    match stream.below(3) {
        0 => joined(&["Foto:", count, noun, "de color", color, setting]),
        1 => capitalised(&joined(&[count, noun, "de color", color, "y", accent, setting])),
        _ => capitalised(&joined(&[count, noun, setting, "- color", color])),
    }
}

fn russian(latents: &Latents, stream: &mut Stream) -> String {
    let (count, noun, setting) = pieces(latents, Language::Russian, latents.concept().words.ru);
    let color = PALETTE[usize::from(latents.color)].ru;
    // A number before the noun would ask for the genitive; after it, none is needed.
    let told = if count.is_empty() { String::new() } else { format!(", {count} на картинке") };
    match stream.below(3) {
        0 => format!("{}{told}", joined(&["Фото:", noun, color, "цвета", setting])),
        1 => format!("{}{told}", capitalised(&joined(&[noun, color, "цвета", setting]))),
        _ => format!("{}{told}", capitalised(&joined(&[noun, setting, "-", color, "цвета"]))),
    }
}

fn chinese(latents: &Latents, stream: &mut Stream) -> String {
    let noun = latents.concept().words.zh;
    let (count, _, setting) = pieces(latents, Language::Chinese, [noun, noun]);
    let color = PALETTE[usize::from(latents.color)].zh;
    let measure = if count.is_empty() { "" } else { "个" };
    match stream.below(3) {
        0 => format!("{setting}{count}{measure}{color}的{noun}"),
        1 => format!("图片：{setting}的{color}{noun}").replace("：的", "："),
        _ => format!(
            "{count}{measure}{color}的{noun}，{}高清照片",
            if setting.is_empty() { String::new() } else { format!("{setting}，") }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PoolOptions;

    #[test]
    fn captions_are_tidy_and_in_their_script() {
        let world = World::new(&PoolOptions { rows: 5000, ..PoolOptions::default() });
        let mut seen = std::collections::BTreeSet::new();
        for row in 0..world.rows {
            let sample = world.sample(row);
            let text = caption(&world, &sample.caption);
            assert!(
                !text.is_empty() && !text.contains("  ") && text.trim() == text && !text.contains('\n'),
                "'{text}'"
            );
            let has = |low: char, high: char| text.chars().any(|letter| (low..=high).contains(&letter));
            match sample.caption.language {
                Language::Russian => assert!(has('а', 'я'), "{text}"),
                Language::Chinese => assert!(has('\u{4e00}', '\u{9fff}'), "{text}"),
                _ => assert!(!has('а', 'я') && !has('\u{4e00}', '\u{9fff}'), "{text}"),
            }
            seen.insert(text);
        }
        assert!(seen.len() > 3000, "{} different captions of 5000", seen.len());
    }

    #[test]
    fn a_wrong_caption_is_another_rows_text() {
        let world = World::new(&PoolOptions { rows: 2000, ..PoolOptions::default() });
        let mut wrong = 0;
        for row in 0..world.rows {
            let sample = world.sample(row);
            if sample.caption.kind == CaptionKind::Wrong {
                wrong += 1;
                let other = world.sample(sample.caption.row);
                assert_eq!(caption(&world, &sample.caption), caption(&world, &other.caption));
                assert_ne!(other.latents.concept, sample.latents.concept);
            }
        }
        assert!(wrong > 60);
    }
}
