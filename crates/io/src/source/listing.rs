//! The files that an input consists of, and the names that shards get from them.
use crate::{IoError, Location, Result, Storage, pattern};
use std::collections::BTreeMap;

/// Folders in folders further down than this are left alone.
const DEEPEST: usize = 6;

/// What lies at an input location.
#[derive(Debug)]
pub(super) struct Listing {
    /// The folder that file names are seen from.
    pub root: Location,
    /// Every file, sorted; not only the direct ones when `nested`.
    pub files: Vec<Location>,
    /// The direct sub-folders of a folder.
    pub folders: Vec<Location>,
    /// Whether the input is one folder.
    pub is_folder: bool,
}

impl Listing {
    /// Lists a folder (directly), one file, or everything that a pattern names.
    pub fn new(storage: &dyn Storage, text: &str) -> Result<Self> {
        let literal = if text.contains("::") { None } else { Some(Location::parse(text)?) };
        if let Some(location) = literal
            && let Some(entry) = storage.entry(&location)?
        {
            if entry.is_folder {
                return Self::of_folder(storage, location);
            }
            return Ok(Self {
                root: location.parent(),
                files: vec![location],
                folders: Vec::new(),
                is_folder: false,
            });
        }
        if !pattern::is_pattern(text) {
            return Err(IoError::NotFound { path: text.into() });
        }
        let mut found = pattern::expand(storage, text)?;
        if let [one] = &found[..]
            && storage.entry(one)?.is_some_and(|entry| entry.is_folder)
        {
            return Self::of_folder(storage, found.remove(0));
        }
        let mut files = Vec::new();
        for location in found {
            match storage.entry(&location)? {
                None => return Err(IoError::NotFound { path: location.path().into() }),
                Some(entry) if entry.is_folder => walk(storage, &location, DEEPEST, &mut files)?,
                Some(_) => files.push(location),
            }
        }
        files.sort();
        files.dedup();
        Ok(Self { root: common_folder(&files), files, folders: Vec::new(), is_folder: false })
    }

    pub fn of_folder(storage: &dyn Storage, folder: Location) -> Result<Self> {
        let (folders, files): (Vec<_>, Vec<_>) =
            storage.list(&folder)?.into_iter().partition(|entry| entry.is_folder);
        let places =
            |entries: Vec<crate::storage::Entry>| entries.into_iter().map(|entry| entry.location).collect();
        Ok(Self { root: folder, files: places(files), folders: places(folders), is_folder: true })
    }

    /// The same folder with everything below it.
    pub fn nested(&self, storage: &dyn Storage) -> Result<Self> {
        let mut files = self.files.clone();
        for folder in &self.folders {
            walk(storage, folder, DEEPEST, &mut files)?;
        }
        files.sort();
        Ok(Self { root: self.root.clone(), files, folders: Vec::new(), is_folder: self.is_folder })
    }

    /// The files with one of these extensions (lower case).
    pub fn with_extension(&self, extensions: &[&str]) -> Vec<Location> {
        self.files.iter().filter(|file| extensions.contains(&file.extension().as_str())).cloned().collect()
    }

    /// The direct sub-folder of this name.
    pub fn folder(&self, name: &str) -> Option<&Location> {
        self.folders.iter().find(|folder| folder.file_name() == name)
    }

    /// What is here, counted by extension: for messages.
    pub fn summary(&self) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        for file in &self.files {
            let extension = file.extension();
            *counts
                .entry(if extension.is_empty() { "no extension".into() } else { format!(".{extension}") })
                .or_default() += 1;
        }
        let mut parts: Vec<String> =
            counts.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        if !self.folders.is_empty() {
            let names: Vec<String> = self.folders.iter().take(5).map(Location::file_name).collect();
            parts.push(format!("folders {}", names.join(", ")));
        }
        if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
    }

    /// The shard name of a file: its path below the root without the extension, folders joined by `__`.
    pub fn shard_name(&self, file: &Location) -> String {
        let below = file.path().strip_prefix(self.root.path()).unwrap_or(file.path()).with_extension("");
        let parts: Vec<String> =
            below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        safe_name(&parts.join("__"))
    }
}

/// Replaces what does not belong into a file name. A name that was changed or is long gets a hash, so that different ones stay different.
pub(super) fn safe_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    // `.parquet` and a temporary prefix must still fit into 255 bytes.
    let mut cut = plain.len().min(150);
    while !plain.is_char_boundary(cut) {
        cut -= 1;
    }
    let start = plain[..cut].trim_start_matches('.');
    if start == name {
        start.to_owned()
    } else {
        format!("{start}-{}", &blake3::hash(name.as_bytes()).to_hex()[..8])
    }
}

fn walk(storage: &dyn Storage, folder: &Location, depth: usize, files: &mut Vec<Location>) -> Result<()> {
    for entry in storage.list(folder)? {
        if !entry.is_folder {
            files.push(entry.location);
        } else if depth > 0 {
            walk(storage, &entry.location, depth - 1, files)?;
        }
    }
    Ok(())
}

fn common_folder(files: &[Location]) -> Location {
    let mut common = files.first().map_or_else(|| Location::local("."), Location::parent);
    while !files.iter().all(|file| file.path().starts_with(common.path())) {
        match common.path().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => common = Location::local(parent),
            _ => return Location::local(""),
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LocalStorage;

    #[test]
    fn shard_names_are_unique_and_safe() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/0.tar", "b/0.tar", "b/c/0.tar"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        let listing = Listing::new(&LocalStorage, root).unwrap().nested(&LocalStorage).unwrap();
        let names: Vec<_> = listing.files.iter().map(|file| listing.shard_name(file)).collect();
        assert_eq!(names, ["a__0", "b__0", "b__c__0"]);
        let listing = Listing::new(&LocalStorage, &format!("{root}/b/0.tar::{root}/b/c")).unwrap();
        let names: Vec<_> = listing.files.iter().map(|file| listing.shard_name(file)).collect();
        assert_eq!(names, ["0", "c__0"]);
        assert!(Listing::new(&LocalStorage, &format!("{root}/{{a,z}}/0.tar")).is_err());

        assert_ne!(safe_name("a:b"), safe_name("a?b"));
        assert_ne!(safe_name(&"é".repeat(200)), safe_name(&"é".repeat(201)));
        assert!(safe_name(&"é".repeat(200)).len() < 170);
        assert_eq!(safe_name("00000012"), "00000012");
    }
}
