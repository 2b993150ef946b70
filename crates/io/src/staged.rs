//! A folder that appears under its name only when all of its files are there, so that nobody reads half of one as the whole.
use crate::{IoError, Result, TEMP_PREFIX};
use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// A growing folder. It lies hidden beside its final place until [`StagedFolder::commit`]; dropped before, it leaves nothing. What a killed process left
/// is removed when the same folder is begun again.
#[derive(Debug)]
pub struct StagedFolder {
    final_path: PathBuf,
    path: PathBuf,
    /// Held while the folder grows: the system frees it with the process, however that ends.
    lock: Option<File>,
}

const LOCK: &str = ".lock";

impl StagedFolder {
    /// Begins a folder. `final_path` must be missing, or empty, by the time of the commit.
    ///
    /// # Errors
    /// Another process writes the same folder; its parent cannot be written.
    pub fn create(final_path: &Path) -> Result<Self> {
        // `.` and `a/..` name no folder; what they mean does.
        let final_path = std::path::absolute(final_path)
            .and_then(|path| if path.exists() { path.canonicalize() } else { Ok(path) })
            .map_err(|e| IoError::write(final_path, "create", None, e))?;
        let name = final_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = final_path.with_file_name(format!("{TEMP_PREFIX}folder-{name}"));
        let fail = |e| IoError::write(&final_path, "create", None, e);
        std::fs::create_dir_all(&path).map_err(fail)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let busy = std::io::Error::new(ErrorKind::ResourceBusy, "another process is writing it");
                return Err(fail(busy));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let staged = Self { final_path: final_path.clone(), path, lock: Some(lock) };
        staged.empty().map_err(fail)?;
        Ok(staged)
    }

    /// Where its files go meanwhile.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn empty(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else if path.file_name().is_some_and(|name| name != LOCK) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Gives it its name. Every file in it must have been synced, as [`crate::AtomicFile`] does.
    ///
    /// # Errors
    /// Meanwhile something else stands there.
    pub fn commit(mut self) -> Result<()> {
        let fail = |e| IoError::write(&self.final_path, "rename", None, e);
        std::fs::remove_file(self.path.join(LOCK)).map_err(fail)?;
        std::fs::rename(&self.path, &self.final_path).map_err(fail)?;
        self.lock = None;
        let parent = self.final_path.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(fail)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Nothing can be reported from here; what stays is removed when the folder is begun again.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_file;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let staged = StagedFolder::create(&out).unwrap();
        write_file(&staged.path().join("a/b"), b"x").unwrap();
        assert!(!out.exists());
        let busy = StagedFolder::create(&out).unwrap_err();
        assert!(busy.to_string().contains("another process"), "{busy}");
        drop(staged);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        // What a killed process left is not in the way, and not in the folder.
        write_file(&dir.path().join(".tmp-folder-out/old/file"), b"x").unwrap();
        std::fs::create_dir(&out).unwrap();
        let staged = StagedFolder::create(&out).unwrap();
        write_file(&staged.path().join("new"), b"x").unwrap();
        staged.commit().unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        // A folder that is no longer empty stays as it is.
        let staged = StagedFolder::create(&out).unwrap();
        assert!(staged.commit().is_err());
        assert!(out.join("new").exists() && std::fs::read_dir(dir.path()).unwrap().count() == 1);
    }
}
