//! Checkpoints that are part of the program.
use crate::{ModelError, Result};

/// A checkpoint whose files are embedded.
#[derive(Debug)]
pub struct Builtin {
    /// The name after `builtin:`.
    pub name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

/// The files of a folder in `builtin/`.
macro_rules! files {
    ($folder:literal: $($file:literal)*) => {
        &[$(($file, include_bytes!(concat!("../../builtin/", $folder, "/", $file)) as &[u8])),*]
    };
}

/// All of them.
static ALL: &[Builtin] = &[Builtin {
    name: "demo-clip",
    files: files!("demo-clip": "config.json" "model.safetensors" "preprocessor_config.json" "tokenizer.json" "tokenizer_config.json"),
}];

impl Builtin {
    /// The bytes of a file.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
    }
}

/// Finds one by name.
pub fn find(name: &str) -> Result<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name).ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|builtin| format!("builtin:{}", builtin.name)).collect();
        ModelError::Source(format!("there is no builtin:{name}; there is {}", names.join(", ")))
    })
}
