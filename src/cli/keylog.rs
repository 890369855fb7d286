//! TLS key logs that grow while a capture runs: browsers write each connection's secrets as it opens.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::config::Keylog;

/// Most bytes read from one file per call; the rest follows with the next.
const AT_ONCE: u64 = 4 << 20;
/// A line longer than this, in bytes, is no line of a key log.
const LONGEST_LINE: usize = 64 << 10;

/// Key-log files that are followed, also those that do not exist yet.
pub(super) struct KeylogFiles {
    files: Vec<Tail>,
}

struct Tail {
    path: PathBuf,
    /// Bytes read so far.
    read: u64,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
}

impl KeylogFiles {
    pub(super) fn new(keylogs: &[Keylog]) -> Self {
        let tail = |keylog: &Keylog| Tail { path: keylog.path.clone(), read: 0, begun: Vec::new() };
        Self { files: keylogs.iter().map(tail).collect() }
    }

    /// Complete lines written since the last call, by file.
    pub(super) fn new_lines(&mut self) -> Vec<Vec<u8>> {
        self.files.iter_mut().filter_map(Tail::new_lines).collect()
    }
}

impl Tail {
    /// A file that cannot be read now may be readable later: that is no error.
    fn new_lines(&mut self) -> Option<Vec<u8>> {
        let length = std::fs::metadata(&self.path).ok()?.len();
        if length < self.read {
            // The file was truncated or replaced.
            self.read = 0;
            self.begun.clear();
        }
        if length == self.read {
            return None;
        }
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut text = std::mem::take(&mut self.begun);
        let read = file.take(AT_ONCE).read_to_end(&mut text).ok()?;
        self.read += read as u64;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.begun = text.split_off(whole);
        if self.begun.len() > LONGEST_LINE {
            self.begun.clear();
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_once_and_whole_also_from_a_file_that_appears_late() {
        let path = std::env::temp_dir().join(format!("wsscan-keylog-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut growing = KeylogFiles::new(&[Keylog { path: path.clone(), required: false }]);
        assert_eq!(growing.new_lines(), Vec::<Vec<u8>>::new());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"CLIENT_RANDOM a b\nCLIENT_RAN").unwrap();
        assert_eq!(growing.new_lines(), [b"CLIENT_RANDOM a b\n".to_vec()]);
        assert_eq!(growing.new_lines(), Vec::<Vec<u8>>::new());
        file.write_all(b"DOM c d\n").unwrap();
        assert_eq!(growing.new_lines(), [b"CLIENT_RANDOM c d\n".to_vec()]);
        File::create(&path).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(growing.new_lines(), [b"new\n".to_vec()]);
        std::fs::remove_file(&path).unwrap();
    }
}
