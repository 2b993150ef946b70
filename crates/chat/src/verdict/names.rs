//! The labels of a reply: what stands before a colon, over a paragraph, or as a name in JSON.
use super::{
    Class,
    words::{Token, is_sign},
};

/// What a label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Verdict,
    /// A word that is a label of the verdict only when its value is one.
    Perhaps,
    /// `acceptable: true`.
    Question,
    Reason,
    Title,
    Category,
    Language,
    Flags,
}

impl Name {
    /// How a verdict behind this name is said; `None` where no verdict stands behind it.
    pub fn class(self) -> Option<Class> {
        match self {
            Self::Verdict | Self::Question => Some(Class::Labelled),
            Self::Perhaps => Some(Class::Perhaps),
            Self::Reason | Self::Title | Self::Category | Self::Language | Self::Flags => None,
        }
    }
}

const VERDICTS: &[&str] = &[
    "classification",
    "verdict",
    "decision",
    "judgement",
    "judgment",
    "label",
    "answer",
    "conclusion",
    "assessment",
    "determination",
    "output",
    "response",
    "prediction",
    "opinion",
    "acceptability",
    "therefore",
    "thus",
    "hence",
    "summary",
    "分类",
    "最终分类",
    "判定",
    "结论",
    "判断",
    "clasificación",
    "klassifizierung",
    "klassifikation",
    "classificação",
    "classificazione",
    "классификация",
    "вердикт",
    "urteil",
    "veredicto",
    "class",
    "classify",
];
const PERHAPS: &[&str] = &[
    "value",
    "quality",
    "rating",
    "result",
    "evaluation",
    "status",
    "recommendation",
    "action",
    "overall",
    "结果",
    "keep",
];
/// Labels with these words speak of something else: single samples, the question, what was thought before.
const NOT_VERDICTS: &[&str] = &[
    "sample",
    "samples",
    "image",
    "images",
    "caption",
    "captions",
    "example",
    "criteria",
    "criterion",
    "definition",
    "guidelines",
    "options",
    "possible",
    "format",
    "initial",
    "initially",
    "preliminary",
    "previous",
    "tentative",
    "confidence",
];
const FINAL: &[&str] = &[
    "final",
    "revised",
    "corrected",
    "updated",
    "therefore",
    "conclusion",
    "overall",
    "最终分类",
    "correction",
    "definitive",
];

/// What a label names, if it is one; and whether it says that it is the last word.
pub fn name(words: &[Token]) -> Option<(Name, bool)> {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !is_sign(word)).collect();
    if words.is_empty() || words.len() > 9 {
        return None;
    }
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    // A field's label is short; what is longer is a sentence.
    let last = *words.last()?;
    let field = match last {
        _ if words.len() > 3 => None,
        "reason" | "reasons" | "reasoning" | "explanation" | "rationale" | "justification" | "because"
        | "理由" | "原因" => Some(Name::Reason),
        "title" | "name" | "标题" => Some(Name::Title),
        "category" | "topic" | "theme" | "subject" | "类别" | "主题" => Some(Name::Category),
        "language" | "lang" | "languages" | "语言" => Some(Name::Language),
        "flags" | "flag" | "issues" | "warnings" | "标记" => Some(Name::Flags),
        _ => None,
    };
    if let Some(field) = field {
        return Some((field, false));
    }
    if has(NOT_VERDICTS) {
        return None;
    }
    let named = match () {
        () if has(VERDICTS) => Name::Verdict,
        () if matches!(words[..], ["acceptable"] | ["is", "acceptable"] | ["accept"]) => Name::Question,
        () if has(PERHAPS) || (words[0] == "cluster" && words.len() <= 2) => Name::Perhaps,
        () => return None,
    };
    Some((named, has(FINAL)))
}
