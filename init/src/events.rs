//! What happened, as JSON lines in a file of bounded size, in memory for `status`, and to whoever streams it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clawker_protocol::event::{Event, EventKind};

/// How many refusals `status` shows.
const LAST_DENIALS: usize = 20;
/// Lines that wait for streaming clients at most.
const PENDING: usize = 256;

/// Milliseconds since 1970, UTC.
pub fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The event log.
#[derive(Debug)]
pub struct Events {
    file: File,
    size: u64,
    max_bytes: u64,
    last_denials: VecDeque<Event>,
    pending: VecDeque<String>,
}

impl Events {
    /// Opens or creates the file, gives it to the owner of its folder, and keeps it open.
    ///
    /// # Errors
    /// When it can't be opened for reading and writing, or is not a regular file.
    pub fn open(path: &Path, max_bytes: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        if let Some(folder) = path.parent() {
            let owner = std::fs::metadata(folder)?;
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(Self {
            size: metadata.len(),
            file,
            max_bytes,
            last_denials: VecDeque::with_capacity(LAST_DENIALS),
            pending: VecDeque::new(),
        })
    }

    /// Records an event now. A full disk loses the line in the file, never the program.
    pub fn record(&mut self, kind: EventKind) {
        let event = Event { time: now_millis(), kind };
        let Ok(mut line) = serde_json::to_string(&event) else { return };
        line.push('\n');
        if let EventKind::Denied { .. } = event.kind {
            if self.last_denials.len() == LAST_DENIALS {
                self.last_denials.pop_front();
            }
            self.last_denials.push_back(event);
        }
        self.append(line.as_bytes());
        if self.pending.len() < PENDING {
            self.pending.push_back(line);
        }
    }

    fn append(&mut self, line: &[u8]) {
        if self.size + line.len() as u64 > self.max_bytes {
            self.halve();
        }
        if self.file.write_all(line).is_ok() {
            self.size += line.len() as u64;
        }
    }

    /// Keeps the newer half, from a line's start, in place: the folder is the host user's, so no new file can
    /// be made in it any more.
    fn halve(&mut self) {
        let keep = self.max_bytes / 2;
        let from = self.size.saturating_sub(keep);
        let mut newer = vec![0; usize::try_from(self.size - from).unwrap_or(0)];
        let kept = match self.file.read_exact_at(&mut newer, from) {
            Ok(()) => newer.iter().position(|byte| *byte == b'\n').and_then(|at| newer.get(at + 1..)),
            Err(_) => None,
        };
        if self.file.set_len(0).is_ok() {
            self.size = 0;
            if let Some(kept) = kept
                && self.file.write_all(kept).is_ok()
            {
                self.size = kept.len() as u64;
            }
        }
    }

    /// The last refusals, oldest first.
    pub fn last_denials(&self) -> Vec<Event> {
        self.last_denials.iter().cloned().collect()
    }

    /// The lines recorded since the last call.
    pub fn take_pending(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("clawker-events-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_file_never_grows_past_its_bound_and_keeps_the_newest_whole_lines() {
        let path = scratch("bound");
        let mut events = Events::open(&path, 2_000).unwrap();
        for generation in 0..500 {
            events.record(EventKind::Policy { generation });
            assert!(std::fs::metadata(&path).unwrap().len() <= 2_000);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let generations: Vec<u64> = text
            .lines()
            .map(|line| match serde_json::from_str::<Event>(line).unwrap().kind {
                EventKind::Policy { generation } => generation,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(generations.len() > 10);
        assert_eq!(generations.last(), Some(&499));
        assert!(generations.windows(2).all(|pair| pair[1] == pair[0] + 1));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let path = scratch("link");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(Events::open(&path, 2_000).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
