//! What was lost on the way to the HAR: dumpcap's last words, and the library's.

use serde_json::Value;

/// What dumpcap says of an interface when it ends:
///
/// ```text
/// Packets received/dropped on interface 'eth0': 990/10 (pcap:7/dumpcap:2/flushed:1/ps_ifdrop:4) (99.0%)
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Drops {
    interface: String,
    received: u64,
    /// By the kernel, by dumpcap, and by the network interface itself. dumpcap leaves the last out of its sum.
    counts: [(&'static str, u64); 3],
}

impl Drops {
    /// Reads a line of dumpcap's; nothing when it speaks of something else.
    pub fn read(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix("Packets received/dropped on interface '")?;
        // The name may hold anything, the numbers may not.
        let (interface, numbers) = rest.rsplit_once("': ")?;
        let (received, rest) = numbers.split_once('/')?;
        let (_, named) = rest.split_once(" (")?;
        let (named, _) = named.split_once(')')?;
        let count = |name: &str| -> Option<u64> {
            let (_, value) =
                named.split('/').filter_map(|part| part.split_once(':')).find(|(found, _)| *found == name)?;
            value.trim().parse().ok()
        };
        let own = count("dumpcap")?.saturating_add(count("flushed").unwrap_or(0));
        let counts = [("kernel", count("pcap")?), ("dumpcap", own), ("interface", count("ps_ifdrop").unwrap_or(0))];
        Some(Self { interface: interface.to_owned(), received: received.parse().ok()?, counts })
    }

    /// For people; nothing when nothing was dropped.
    fn words(&self) -> Option<String> {
        let lost: Vec<_> = self.counts.iter().filter(|(_, count)| *count > 0).collect();
        let total = lost.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        let by: Vec<String> = lost.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        let (all, interface) = (self.received.saturating_add(total), &self.interface);
        (total > 0).then(|| format!("dumpcap dropped {total} of {all} packets on {interface} ({})", by.join(", ")))
    }
}

/// What is missing, for people: what dumpcap said, else what the capture says, and what was found missing in streams.
pub fn losses(said: &[Drops], summary: Option<&Value>) -> Option<String> {
    let number = |pointer: &str| summary.and_then(|summary| summary.pointer(pointer)?.as_u64()).unwrap_or(0);
    let mut parts: Vec<String> = said.iter().filter_map(Drops::words).collect();
    let packets = number("/dropped/packets");
    if said.is_empty() && packets > 0 {
        parts.push(format!("the capture program dropped {packets} packets"));
    }
    let (bytes, connections) = (number("/missing/bytes"), number("/missing/connections"));
    if bytes > 0 {
        let s = if connections == 1 { "" } else { "s" };
        parts.push(format!("{bytes} bytes of {connections} connection{s} are missing"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn last_words_are_read() {
        let line =
            "Packets received/dropped on interface 'lo': 0': 990/10 (pcap:7/dumpcap:2/flushed:1/ps_ifdrop:4) (99.0%)";
        let drops = Drops::read(line).unwrap();
        let words = "dumpcap dropped 14 of 1004 packets on lo': 0 (kernel: 7, dumpcap: 3, interface: 4)";
        assert_eq!(losses(&[drops], None).as_deref(), Some(words));
        let none = "Packets received/dropped on interface 'lo': 9/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)";
        assert_eq!(losses(&[Drops::read(none).unwrap()], None), None);
        for other in ["Packets captured: 12", "", "Packets received/dropped on interface 'lo': many/few"] {
            assert_eq!(Drops::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_library_speaks_where_dumpcap_did_not() {
        let summary = json!({"dropped": {"packets": 3}, "missing": {"bytes": 1460, "connections": 1}});
        let words = "the capture program dropped 3 packets; 1460 bytes of 1 connection are missing";
        assert_eq!(losses(&[], Some(&summary)).as_deref(), Some(words));
        assert_eq!(losses(&[], Some(&json!({"dropped": {}, "missing": {"bytes": 0, "connections": 0}}))), None);
        assert_eq!(losses(&[], None), None);
    }
}
