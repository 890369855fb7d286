//! The captures of this repository.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// One folder below `captures/`.
pub(crate) struct Case {
    /// The folder's name.
    pub(crate) name: String,
    /// The capture.
    pub(crate) capture: PathBuf,
    /// TLS secrets that go with it.
    pub(crate) keylog: Option<PathBuf>,
    /// What must be said about it; see `captures/README.md`.
    pub(crate) expected: Value,
}

/// The folder of this package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of a case.
pub(crate) fn file(case: &str, name: &str) -> PathBuf {
    root().join("captures").join(case).join(name)
}

/// Every case, by name.
///
/// # Panics
/// When a folder has no readable `expected.json`, or names a file that is not there.
pub(crate) fn all() -> Vec<Case> {
    let folder = root().join("captures");
    let mut cases: Vec<Case> = std::fs::read_dir(&folder)
        .expect("captures/ is part of the repository")
        .map(|entry| entry.expect("captures/ can be listed").path())
        .filter(|path| path.join("expected.json").exists())
        .map(|path| read(&path))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// The case of that name.
pub(crate) fn one(name: &str) -> Case {
    read(&root().join("captures").join(name))
}

fn read(path: &Path) -> Case {
    let name = path.file_name().and_then(|n| n.to_str()).expect("a folder below captures/ has a plain name").to_owned();
    let text =
        std::fs::read_to_string(path.join("expected.json")).unwrap_or_else(|e| panic!("{name}/expected.json: {e}"));
    let expected: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}/expected.json: {e}"));
    let capture = path.join(expected["file"].as_str().unwrap_or_else(|| panic!("{name}/expected.json names no file")));
    let keylog = expected["keylog"].as_str().map(|file| path.join(file));
    for file in std::iter::once(&capture).chain(keylog.as_ref()) {
        assert!(file.exists(), "{name}/expected.json names {}, which does not exist", file.display());
    }
    Case { name, capture, keylog, expected }
}
