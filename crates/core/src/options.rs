//! The options of every step, as plain data: what a recipe's `[[step]]` table holds and what the command line's flags become. Defaults are
//! written here once, each with its source.
use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One value, or a list of values of which the first one decides and all are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One value.
    One(T),
    /// Several; an empty list is refused when the recipe is checked.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values, in order.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Which sample of several is kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Keep {
    /// The one farthest from its centroid (SemDeDup's and DBP's `hard`).
    #[default]
    Hard,
    /// The one nearest to its centroid.
    Easy,
    /// One by a hash of uid and seed.
    Random,
    /// The one with the largest value in a column of the input or of an earlier step: `best:clip_l14_similarity_score`.
    Best(String),
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hard => f.write_str("hard"),
            Self::Easy => f.write_str("easy"),
            Self::Random => f.write_str("random"),
            Self::Best(column) => write!(f, "best:{column}"),
        }
    }
}

impl FromStr for Keep {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hard" => Ok(Self::Hard),
            "easy" => Ok(Self::Easy),
            "random" => Ok(Self::Random),
            _ => match text.strip_prefix("best:") {
                Some(column) if !column.is_empty() => Ok(Self::Best(column.into())),
                _ => Err(format!("'{text}' is no way to keep: expected hard, easy, random or best:COLUMN")),
            },
        }
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How many rows k-means is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrainRows {
    /// 256 rows a centroid, as FAISS does by default; said in the report.
    #[default]
    Auto,
    /// Every row that is still kept.
    All,
    /// This many, drawn by a hash of uid and seed.
    Count(u64),
}

impl fmt::Display for TrainRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for TrainRows {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            _ => match text.parse() {
                Ok(0) => Err("train_rows is 0: expected at least 1, \"all\" or \"auto\"".into()),
                Ok(count) => Ok(Self::Count(count)),
                Err(_) => Err(format!(
                    "'{text}' is no number of training rows: expected a number, \"all\" or \"auto\""
                )),
            },
        }
    }
}

impl TrainRows {
    /// The number of training rows out of `available` for `k` clusters.
    pub fn resolve(self, k: u64, available: u64) -> u64 {
        match self {
            Self::Auto => (256 * k).min(available),
            Self::All => available,
            Self::Count(count) => count.min(available),
        }
    }
}

/// Number of cells for the search for duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cells {
    /// About the square root of the number of rows: then comparing rows with centroids and rows with rows cost about the same.
    #[default]
    Auto,
    /// This many.
    Count(u64),
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for Cells {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => match text.parse() {
                Ok(0) | Err(_) => {
                    Err(format!("'{text}' is no number of cells: expected 1 or more, or \"auto\""))
                }
                Ok(count) => Ok(Self::Count(count)),
            },
        }
    }
}

impl Cells {
    /// The number of cells for `rows` rows.
    pub fn resolve(self, rows: u64) -> u64 {
        match self {
            // Below a few thousand rows one cell is cheap and finds every pair.
            Self::Auto if rows <= 4096 => 1,
            Self::Auto => ((rows as f64).sqrt().ceil() as u64).min(50_000),
            Self::Count(count) => count,
        }
    }
}

/// A number or a word, in TOML and JSON as in text.
macro_rules! number_or_word {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Count(count) => serializer.serialize_u64(*count),
                    word => serializer.collect_str(word),
                }
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a number or a word")
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$type, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<$type, E> {
                        value.to_string().parse().map_err(E::custom)
                    }
                    fn visit_str<E: de::Error>(self, value: &str) -> Result<$type, E> {
                        value.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}
number_or_word!(TrainRows);
number_or_word!(Cells);

/// A closed set of words: one table gives the enum, its text, its parser and the error that lists the words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(format!("'{text}' is none of {}", [$($word),+].join(", "))),
                }
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How semantic duplicates are judged.
    DedupMode {
        /// SemDeDup's rule: a row goes when an earlier row of the scan is more similar than 1 − ε.
        #[default]
        Greedy = "greedy",
        /// Connected components of the pairs above 1 − ε; one row of each stays.
        Groups = "groups",
    }
}

words! {
    /// How exact duplicates are found before semantic ones are sought.
    Exact {
        /// By the `sha256` column where the input has one, else not.
        #[default]
        Auto = "auto",
        /// By the `sha256` column, which must be there.
        Sha256 = "sha256",
        /// By the bytes of the image members in the tars of `input.images`.
        Bytes = "bytes",
        /// Not at all.
        None = "none",
    }
}

words! {
    /// How a prune step chooses.
    PruneMethod {
        /// A quota per cluster from its complexity (Abbas et al., ICLR 2024).
        #[default]
        Density = "density",
        /// Self-supervised prototypes (Sorscher et al., NeurIPS 2022): by distance to the centroid alone.
        Prototypes = "prototypes",
        /// By a hash of uid and seed.
        Random = "random",
    }
}

words! {
    /// What the quotas of `density` follow.
    Density {
        /// d_inter · d_intra, the paper's concept complexity.
        #[default]
        Complexity = "complexity" | "dintra*dinter" | "dinter*dintra",
        /// Every cluster alike.
        Uniform = "uniform",
        /// The size of the cluster.
        Size = "size" | "clustersize",
    }
}

words! {
    /// Where ranks are counted by `prototypes` and `random`.
    Scope {
        /// Over all rows at once (luvdatacomp's SSP).
        #[default]
        Global = "global",
        /// The same fraction of every cluster.
        Cluster = "cluster",
    }
}

/// Options of a `filter` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct FilterOptions {
    /// A SQL condition over the columns of the input and of every earlier step; rows for which it is true stay.
    #[serde(rename = "where")]
    pub condition: String,
    /// Columns to compute and to keep in the step's tables: name = expression.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub compute: std::collections::BTreeMap<String, String>,
}

/// Options of a `dedup` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DedupOptions {
    /// The embedding that is compared; empty: exact duplicates only.
    pub embedding: String,
    /// Similar means similarity > 1 − ε. A list: the first decides, all are answered in the report, whose curve ends at the largest; so does `max_sim`.
    pub epsilon: OneOrMany<f64>,
    /// How semantic duplicates are judged.
    pub mode: DedupMode,
    /// Which one of several is kept (`greedy`: the order of the scan).
    pub keep: Keep,
    /// Number of cells.
    pub cells: Cells,
    /// Cells searched per row: its nearest ones. 1 is SemDeDup, which misses pairs across a border.
    pub probe: u32,
    /// Exact duplicates first.
    pub exact: Exact,
    /// Rows that the cells are trained on; `auto` is 64 a cell here, because cells only divide the work.
    pub train_rows: TrainRows,
    /// Iterations of k-means for the cells.
    pub iterations: u32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for DedupOptions {
    fn default() -> Self {
        Self {
            embedding: String::new(),
            epsilon: OneOrMany::One(0.05),
            mode: DedupMode::Greedy,
            keep: Keep::Hard,
            cells: Cells::Auto,
            // Measured on 2,000,000 made pairs in 1,372 cells: 1 finds 52 of 58 sampled duplicates, 2 finds all, at 1.6 times the time.
            probe: 2,
            exact: Exact::Auto,
            train_rows: TrainRows::Auto,
            // Cells only divide the work: ten iterations divide it as evenly as a hundred.
            iterations: 10,
            seed: 0,
        }
    }
}

/// Options of a `cluster` step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterOptions {
    /// The embedding that is clustered.
    pub embedding: String,
    /// Number of clusters. A list: all are tried, an elbow is drawn, one is chosen and said. 500 is the best of the DBP paper on LAION.
    pub k: OneOrMany<u64>,
    /// Rows that k-means is trained on.
    pub train_rows: TrainRows,
    /// Iteration limit. FAISS's default is 25, the DBP repository has 100; the tolerance usually ends it earlier.
    pub iterations: u32,
    /// Stop when the mean similarity grows by less than this share in an iteration.
    pub tolerance: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            embedding: String::new(),
            k: OneOrMany::One(500),
            train_rows: TrainRows::Auto,
            iterations: 50,
            tolerance: 1e-4,
            seed: 0,
        }
    }
}

/// Options of a `prune` step. Defaults are the best of the DBP paper: τ 0.1, 20 neighbours, no class balance, hard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneOptions {
    /// How it chooses.
    pub method: PruneMethod,
    /// What the quotas follow (`density` only).
    pub density: Density,
    /// Share of the rows to KEEP, 0 to 1: int(fraction · rows). A list: the first decides, each gets a subset file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<OneOrMany<f64>>,
    /// Number of rows to keep, instead of a fraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<OneOrMany<u64>>,
    /// Temperature τ of the softmax over complexities.
    pub temperature: f64,
    /// Lower bound of each cluster's quota as a share of the even quota N/k (`cls_bal_ratio`).
    pub balance: f64,
    /// Nearest centroids that d_inter is the mean over.
    pub neighbors: u32,
    /// Which rows of a cluster are kept.
    pub keep: Keep,
    /// Where `prototypes` and `random` count.
    pub scope: Scope,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            method: PruneMethod::Density,
            density: Density::Complexity,
            fraction: None,
            count: None,
            temperature: 0.1,
            balance: 0.0,
            neighbors: 20,
            keep: Keep::Hard,
            scope: Scope::Global,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_and_list_themselves() {
        assert_eq!("groups".parse::<DedupMode>().unwrap(), DedupMode::Groups);
        assert_eq!("dintra*dinter".parse::<Density>().unwrap(), Density::Complexity);
        assert!("x".parse::<PruneMethod>().unwrap_err().contains("density, prototypes, random"));
        assert_eq!("best:score".parse::<Keep>().unwrap(), Keep::Best("score".into()));
        assert!("best:".parse::<Keep>().is_err());
    }

    #[test]
    fn numbers_or_words_survive_toml_and_json() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Both {
            a: TrainRows,
            b: TrainRows,
            c: Cells,
        }
        let value: Both = toml::from_str("a = \"all\"\nb = 5000\nc = \"auto\"").unwrap();
        assert_eq!(value, Both { a: TrainRows::All, b: TrainRows::Count(5000), c: Cells::Auto });
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<Both>(&text).unwrap(), value);
        assert!(toml::from_str::<Both>("a = 0\nb = 1\nc = 1").is_err());
    }

    #[test]
    fn automatic_sizes() {
        assert_eq!(TrainRows::Auto.resolve(500, 1_000_000), 128_000);
        assert_eq!(TrainRows::Auto.resolve(500, 1000), 1000);
        assert_eq!((Cells::Auto.resolve(1000), Cells::Auto.resolve(1_000_000)), (1, 1000));
    }
}
