//! What a card says that no run can know: who publishes the data, under which terms, under which name.
use cribble_core::{Error, Result};

/// What a person says of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardOptions {
    /// The Hub's identifier of a licence (`cc-by-4.0`), or a URL; none: `unknown`.
    pub license: Option<String>,
    /// Languages of the captions, as ISO 639 codes.
    pub languages: Vec<String>,
    /// The name that people read.
    pub pretty_name: String,
    /// Where the data will be: `owner/name` on the Hub.
    pub repo: Option<String>,
    /// Its page, where that is not the Hub's.
    pub url: Option<String>,
    /// People who made it.
    pub creators: Vec<String>,
    /// Organisations that did.
    pub organizations: Vec<String>,
    /// The day of publication, `2026-01-31`.
    pub date: String,
    /// Tags beside those that the files imply.
    pub tags: Vec<String>,
    /// Tasks, as the Hub calls them.
    pub tasks: Vec<String>,
    /// The Hub's names of the data sets that this one is made from.
    pub source_datasets: Vec<String>,
}

impl CardOptions {
    /// Refuses what the Hub, or a reader of Croissant, would refuse later.
    ///
    /// # Errors
    /// A licence, language, repository, URL or date of another shape.
    pub fn validate(&self) -> Result<()> {
        let fail = |text: String, hint: &str| Err(Error::usage(text).with_hint(hint));
        let is_id = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c))
        };
        if let Some(license) = self.license.as_deref().filter(|text| !is_url(text) && !is_id(text)) {
            return fail(
                format!("--license '{license}' is no identifier of a licence and no URL"),
                "the Hub's identifiers are such as cc-by-4.0, apache-2.0, mit, other",
            );
        }
        let is_language = |text: &str| {
            let code = text.split('-').next().unwrap_or_default();
            is_id(text) && ((2..=3).contains(&code.len()) || ["code", "multilingual"].contains(&text))
        };
        if let Some(language) = self.languages.iter().find(|text| !is_language(text)) {
            return fail(
                format!("--language '{language}' is no code of a language"),
                "ISO 639 codes are such as en, de, zh; the Hub knows multilingual, too",
            );
        }
        let is_repo =
            |text: &str| text.split_once('/').is_some_and(|(owner, name)| is_id(owner) && is_id(name));
        if let Some(repo) = self.repo.as_deref().filter(|text| !is_repo(text)) {
            return fail(format!("--repo '{repo}' is no name of a repository"), "it is OWNER/NAME");
        }
        if let Some(url) = self.url.as_deref().filter(|text| !is_url(text)) {
            return fail(format!("--url '{url}' is no URL"), "it begins with https://");
        }
        if !is_date(&self.date) {
            return fail(format!("--date '{}' is no day", self.date), "write it as 2026-01-31");
        }
        Ok(())
    }

    /// The page of the data, where one is known.
    pub fn page(&self) -> Option<String> {
        let of_repo = || self.repo.as_ref().map(|repo| format!("https://huggingface.co/datasets/{repo}"));
        self.url.clone().or_else(of_repo)
    }

    /// Required members of Croissant that nobody has said, by the flag that says them.
    pub fn unsaid(&self) -> Vec<&'static str> {
        let has_creator = !self.creators.is_empty() || !self.organizations.is_empty();
        [
            ("--license", self.license.is_some()),
            ("--repo or --url", self.page().is_some()),
            ("--creator or --organization", has_creator),
        ]
        .into_iter()
        .filter_map(|(flag, is_said)| (!is_said).then_some(flag))
        .collect()
    }
}

/// Whether a text is a web address.
pub fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control()))
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: usize, digits: usize| {
        let part = parts.get(part).filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok())?
    };
    match (number(0, 4), number(1, 2), number(2, 2)) {
        (Some(_), Some(month @ 1..=12), Some(day)) if parts.len() == 3 => {
            let most = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            (1..=most).contains(&day)
        }
        _ => false,
    }
}

/// The day of a time in seconds since 1970, in UTC, as `2026-01-31` (Hinnant's algorithm for the proleptic Gregorian calendar).
pub fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March there, which puts the leap day last.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The Hub's bucket of a number of samples.
pub fn size_category(samples: u64) -> &'static str {
    const BUCKETS: [(u64, &str); 10] = [
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (1_000_000, "100K<n<1M"),
        (10_000_000, "1M<n<10M"),
        (100_000_000, "10M<n<100M"),
        (1_000_000_000, "100M<n<1B"),
        (10_000_000_000, "1B<n<10B"),
        (100_000_000_000, "10B<n<100B"),
        (1_000_000_000_000, "100B<n<1T"),
    ];
    BUCKETS.iter().find(|(below, _)| samples < *below).map_or("n>1T", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_buckets() {
        assert_eq!(
            [day(0), day(951_782_399), day(951_782_400), day(4_107_542_399)],
            ["1970-01-01", "2000-02-28", "2000-02-29", "2100-02-28"]
        );
        assert_eq!(
            [0, 999, 1000, 9999, 865_000, 1_000_000, 999_999_999_999, 1_000_000_000_000].map(size_category),
            ["n<1K", "n<1K", "1K<n<10K", "1K<n<10K", "100K<n<1M", "1M<n<10M", "100B<n<1T", "n>1T"]
        );
    }

    #[test]
    fn what_the_hub_would_refuse_is_refused() {
        let good = CardOptions { date: "2026-02-28".into(), ..CardOptions::default() };
        good.validate().unwrap();
        let with = |change: fn(&mut CardOptions)| {
            let mut options = good.clone();
            change(&mut options);
            options.validate().is_err()
        };
        assert!(with(|options| options.license = Some("my licence: mine".into())));
        assert!(with(|options| options.languages = vec!["english".into()]));
        assert!(with(|options| options.repo = Some("name".into())));
        assert!(with(|options| options.url = Some("example.org".into())));
        for date in ["2026-1-1", "2026-13-01", "2026-02-30", "yesterday", "2026-01-01T00"] {
            assert!(CardOptions { date: date.into(), ..good.clone() }.validate().is_err(), "{date}");
        }
        assert!(!with(|options| options.license = Some("https://example.org/terms".into())));
        assert!(!with(
            |options| options.languages = vec!["en".into(), "zh-Hant".into(), "multilingual".into()]
        ));
        assert_eq!(good.unsaid().len(), 3);
    }
}
