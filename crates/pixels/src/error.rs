//! Why an image or a preprocessing configuration was refused: one type, each cause with its cure.

/// Why an image gave no pixels, or a configuration no [`Preprocess`](crate::Preprocess).
///
/// Messages name the cause and the cure, not the file: only the caller knows the shard and the row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PixelError {
    /// No bytes at all.
    #[error(
        "the image has no bytes; the download failed or the member of the tar is empty: fetch it again or drop the sample"
    )]
    EmptyImage,
    /// The first bytes belong to no format that is read here.
    #[error(
        "bytes {start} begin no JPEG, PNG, WebP, GIF or BMP; convert the image to one of these or drop the sample"
    )]
    UnknownFormat {
        /// Up to eight first bytes in hexadecimal.
        start: String,
    },
    /// A known format, but a kind of it that is not read here.
    #[error("{format}: {what} is not read here; convert the image to a plain JPEG or PNG")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The kind that was found.
        what: String,
    },
    /// The data ends before the image does.
    #[error("{format}: the data ends inside {what}; the file was cut off: fetch it again or drop the sample")]
    Truncated {
        /// Name of the format.
        format: &'static str,
        /// What was being read.
        what: &'static str,
    },
    /// The data contradicts its own format.
    #[error("{format}: {what}; the file is damaged: fetch it again or drop the sample")]
    Corrupt {
        /// Name of the format.
        format: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The header asks for more pixels than allowed. Found before any memory for pixels is taken.
    #[error(
        "{width} x {height} pixels are more than the limit of {limit}; raise the limit if the image is meant to be so large"
    )]
    TooManyPixels {
        /// Pixels a row.
        width: u64,
        /// Rows.
        height: u64,
        /// The limit, in pixels.
        limit: u64,
    },
    /// A picture that cannot be written as JPEG.
    #[error("{width} x {height} pixels: a JPEG has at most 65535 a side; ask for a smaller picture")]
    TooLong {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The preprocessing configuration lacks something essential or asks for something unknown.
    #[error("preprocessing: key `{key}`: {problem}")]
    Config {
        /// The key of the JSON file.
        key: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The caller's output buffer has a wrong length.
    #[error("the output holds {given} values, the image needs {needed} (3 x height x width)")]
    OutputSize {
        /// 3 x height x width.
        needed: usize,
        /// Length of the slice.
        given: usize,
    },
}

impl PixelError {
    /// Short, stable code for tables of errors.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyImage => "empty_image",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::Unsupported { .. } => "unsupported_image",
            Self::Truncated { .. } => "truncated_image",
            Self::Corrupt { .. } => "corrupt_image",
            Self::TooManyPixels { .. } | Self::TooLong { .. } => "too_many_pixels",
            Self::Config { .. } => "bad_preprocessor_config",
            Self::OutputSize { .. } => "wrong_output_size",
        }
    }

    pub(crate) fn config(key: &str, problem: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), problem: problem.into() }
    }
}
