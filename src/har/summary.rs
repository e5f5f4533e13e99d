//! What was written, in numbers.

use std::collections::BTreeMap;

use crate::base::Anomalies;
use crate::capture::Dropped;

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
    /// Bytes of streams that are not in the capture.
    pub missing_bytes: u64,
    /// Connections that such bytes belong to.
    pub missing_connections: u64,
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

    /// What the capture program says it dropped, and what was found missing; nothing when the capture is whole.
    pub fn losses(&self, dropped: &Dropped) -> Option<String> {
        let mut parts = Vec::new();
        if let Some(packets @ 1..) = dropped.packets {
            let by: Vec<String> =
                [("interface", dropped.interface), ("kernel", dropped.kernel), ("writer", dropped.writer)]
                    .into_iter()
                    .filter_map(|(name, count)| {
                        count.filter(|&count| count > 0).map(|count| format!("{name}: {count}"))
                    })
                    .collect();
            let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
            parts.push(format!("the capture program dropped {}{by}", many(packets, "packet")));
        }
        if self.missing_bytes > 0 {
            let (bytes, connections) = (many(self.missing_bytes, "byte"), many(self.missing_connections, "connection"));
            let verb = if self.missing_bytes == 1 { "is" } else { "are" };
            parts.push(format!("{bytes} of {connections} {verb} missing"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

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
        self.missing_bytes = self.missing_bytes.saturating_add(other.missing_bytes);
        self.missing_connections += other.missing_connections;
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

fn many(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_only_where_there_are_some() {
        let mut summary = Summary::default();
        let none = Dropped::default();
        assert_eq!(summary.losses(&none), None);
        let zero = Dropped { interface: Some(0), packets: Some(0), ..none };
        assert_eq!(summary.losses(&zero), None);
        let dropped = Dropped { interface: Some(0), kernel: Some(1), packets: Some(1), ..none };
        let words = "the capture program dropped 1 packet (kernel: 1)";
        assert_eq!(summary.losses(&dropped).as_deref(), Some(words));
        summary.missing_bytes = 1460;
        summary.missing_connections = 1;
        assert_eq!(summary.losses(&none).as_deref(), Some("1460 bytes of 1 connection are missing"));
    }
}
