//! What came of a session, as JSON.

use serde_json::{Map, Value, json};

use crate::capture::{Disorder, Dropped, link_type_name};
use crate::engine::Seen;
use crate::har::Summary;

/// Everything there is to tell.
#[derive(Default)]
pub(super) struct Told<'t> {
    pub(super) packets: u64,
    pub(super) summary: Option<&'t Summary>,
    pub(super) seen: Option<&'t Seen>,
    /// What capture programs say they dropped.
    pub(super) dropped: Dropped,
    /// What is wrong with the capture itself.
    pub(super) damage: Vec<String>,
    /// Frames out of time order.
    pub(super) disorder: Disorder,
    pub(super) is_finished: bool,
}

impl Told<'_> {
    pub(super) fn json(&self) -> String {
        let empty = Summary::default();
        let summary = self.summary.unwrap_or(&empty);
        let nothing = Seen::default();
        let seen = self.seen.unwrap_or(&nothing);
        let mut anomalies = summary.anomalies.clone();
        anomalies.merge(&seen.anomalies, KEPT);
        let anomalies: Vec<Value> = anomalies
            .sorted()
            .iter()
            .map(|seen| {
                let frames: Vec<u64> = seen.first.iter().take(KEPT).map(|stamp| stamp.frame.0).collect();
                let mut fault = json!({"name": seen.kind.code(), "text": seen.kind.text(), "count": seen.count});
                if seen.bytes > 0 {
                    fault["bytes"] = seen.bytes.into();
                }
                fault["frames"] = frames.into();
                fault
            })
            .collect();
        let unsupported: Vec<Value> = seen
            .unsupported
            .iter()
            .map(|&(link, frames)| json!({"number": link.0, "name": link_type_name(link), "frames": frames}))
            .collect();
        let agents: Vec<Value> =
            summary.agents.iter().map(|(agent, count)| json!({"agent": agent, "count": count})).collect();
        let dropped: Map<String, Value> =
            self.dropped.counts().map(|(name, count)| (name.to_owned(), count.into())).collect();
        let Disorder { frames, left, .. } = self.disorder;
        let disorder = self.disorder.text().map(|text| json!({"frames": frames, "left": left, "text": text}));
        json!({
            "finished": self.is_finished,
            "packets": self.packets,
            "entries": summary.entries,
            "pages": summary.pages,
            "bytes": summary.bytes,
            "versions": summary.versions,
            "statuses": summary.statuses,
            "unanswered": summary.unanswered,
            "filtered": summary.filtered,
            "refused": summary.refused,
            "truncated": summary.truncated,
            "agents": agents,
            "connections": summary.connections,
            "withoutEntry": summary.without_entry,
            "undecrypted": summary.undecrypted,
            "dropped": dropped,
            "missing": {"bytes": summary.missing_bytes, "connections": summary.missing_connections},
            "anomalies": anomalies,
            "unsupportedLinkTypes": unsupported,
            "repeatedPackets": seen.repeated,
            "encryptedFrames": seen.encrypted_frames,
            "outOfOrder": disorder,
            "damage": self.damage,
        })
        .to_string()
    }
}

/// Frames named with an anomaly.
const KEPT: usize = 8;
