//! What was written, in numbers.

use std::collections::BTreeMap;

use crate::base::Anomalies;

/// What a HAR holds, for the people who asked for it.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Entries written.
    pub entries: u64,
    /// Pages written.
    pub pages: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Entries by `httpVersion`.
    pub versions: BTreeMap<String, u64>,
    /// Entries by status class: 1 to 5; 0 for those without a response.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a response, written or not.
    pub unanswered: u64,
    /// Exchanges that the user's filters left out.
    pub filtered: u64,
    /// Entries that were left out because they would have spoiled the file.
    pub refused: u64,
    /// Bodies of which bytes are missing.
    pub truncated: u64,
    /// User-Agent values and how often each was seen, the most used first.
    pub agents: Vec<(String, u64)>,
    /// Connections handed in when they closed.
    pub connections: u64,
    /// Connections without an entry: how many for each reason.
    pub without_entry: BTreeMap<String, u64>,
    /// Server names of connections that could not be decrypted, with their number; the first few hundred.
    pub undecrypted: BTreeMap<String, u64>,
    /// Faults of exchanges and connections.
    pub anomalies: Anomalies,
}

impl Summary {
    /// Different names and reasons that are counted.
    const MOST: usize = 512;

    /// Counts one more of `key`.
    pub(super) fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
        Self::add(counts, key, 1);
    }

    fn add(counts: &mut BTreeMap<String, u64>, key: &str, more: u64) {
        if let Some(count) = counts.get_mut(key) {
            *count += more;
        } else if counts.len() < Self::MOST {
            counts.insert(key.to_owned(), more);
        }
    }

    /// Adds what another shard counted; pages, bytes and agents are known to the writer alone.
    pub(super) fn merge(&mut self, other: &Summary, keep: usize) {
        self.entries += other.entries;
        self.unanswered += other.unanswered;
        self.filtered += other.filtered;
        self.refused += other.refused;
        self.truncated += other.truncated;
        self.connections += other.connections;
        for (ours, theirs) in [
            (&mut self.versions, &other.versions),
            (&mut self.without_entry, &other.without_entry),
            (&mut self.undecrypted, &other.undecrypted),
        ] {
            for (key, count) in theirs {
                Self::add(ours, key, *count);
            }
        }
        for (class, count) in &other.statuses {
            *self.statuses.entry(*class).or_default() += count;
        }
        self.anomalies.merge(&other.anomalies, keep);
    }
}
