//! A conversion whose frames are brought by somebody else: an analyzer, a recorder, a C program.

use std::collections::BTreeSet;
use std::io::Write;

use super::{Output, RunError, segments};
use crate::base::Limits;
use crate::capture::{Damage, Disorder, Dropped, Feed, Frame, Item, LinkType, Secrets, Shelf, link_type_name};
use crate::engine::{Engine, Finished, Options, Seen};
use crate::har::{CaptureFacts, Summary, WriteError};
use crate::tls::KeyLog;

/// Frames and secrets in, one HAR out.
pub struct Session {
    engine: Engine,
    keys: KeyLog,
    facts: CaptureFacts,
    links: BTreeSet<LinkType>,
    limits: Limits,
    /// A capture that comes as bytes.
    feed: Option<Feed>,
    /// Frames held back until those before them are there.
    shelf: Shelf,
    /// Frames came since [`Self::poll`].
    has_news: bool,
}

/// What came of a session.
#[derive(Debug)]
pub struct Outcome {
    /// What was written.
    pub summary: Summary,
    /// What the engine saw besides exchanges.
    pub seen: Seen,
    /// What capture programs say they dropped.
    pub dropped: Dropped,
    /// Frames out of time order.
    pub disorder: Disorder,
}

/// A session whose capture is over; it may be written more than once.
pub struct Ended {
    finished: Finished,
    facts: CaptureFacts,
    damage: Vec<Damage>,
    disorder: Disorder,
}

impl Session {
    /// A session for a capture of this name, which stands in the HAR. `keys` may be shared, and added to at any time.
    pub fn new(options: &Options, name: &str, keys: KeyLog) -> Self {
        Self {
            engine: Engine::gathering(options, keys.clone()),
            keys,
            facts: CaptureFacts { file: name.to_owned(), ..CaptureFacts::default() },
            links: BTreeSet::new(),
            limits: options.limits.clone(),
            feed: None,
            shelf: Shelf::new(&options.limits, Some(segments::told(&options.limits))),
            has_news: false,
        }
    }

    /// The secrets that frames are decrypted with; more may be added at any time.
    pub fn keys(&self) -> &KeyLog {
        &self.keys
    }

    /// Frames taken so far.
    pub fn packets(&self) -> u64 {
        self.facts.packets
    }

    /// Entries known so far.
    pub fn entries(&self) -> u64 {
        self.engine.entries()
    }

    /// What was collected since the last [`rotation`](Self::rotate), in numbers.
    pub fn summary(&self) -> &Summary {
        self.engine.summary()
    }

    /// What capture programs say they dropped: those who wrote the bytes that came, or as was told.
    pub fn dropped(&self) -> Dropped {
        self.feed.as_ref().map_or(self.facts.dropped, |feed| feed.facts().dropped)
    }

    /// Tells what a capture program dropped, where frames are brought and not its bytes.
    pub fn tell_dropped(&mut self, dropped: Dropped) {
        self.facts.dropped = dropped;
    }

    /// Damages of the capture that came as bytes; the first few.
    pub fn damage(&self) -> Vec<Damage> {
        self.feed.as_ref().map(|feed| feed.facts().damage).unwrap_or_default()
    }

    /// Takes the next frame. An error is the temporary file's: what is missing there cannot be written later.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), WriteError> {
        let facts = &mut self.facts;
        facts.packets += 1;
        facts.first = Some(facts.first.map_or(frame.time, |first| first.min(frame.time)));
        facts.last = facts.last.max(Some(frame.time));
        if !self.links.contains(&frame.link_type) {
            self.links.insert(frame.link_type);
        }
        self.has_news = true;
        self.shelf.put(frame);
        self.hand_on()
    }

    /// Gives the engine the frames that wait for no other.
    fn hand_on(&mut self) -> Result<(), WriteError> {
        while let Some(frame) = self.shelf.next() {
            self.engine.push(&frame);
        }
        self.engine.failure().map_or(Ok(()), Err)
    }

    /// What is known is asked for. When nothing came since it was asked for last, frames that are held back wait for nothing.
    pub fn poll(&mut self) {
        if !std::mem::take(&mut self.has_news) {
            self.shelf.release();
            while let Some(frame) = self.shelf.next() {
                self.engine.push(&frame);
            }
        }
    }

    /// Gives the engine every frame that came: somebody wants to know what is in them.
    fn hand_on_all(&mut self) -> Result<(), WriteError> {
        self.shelf.release();
        self.hand_on()
    }

    /// Frames out of time order so far.
    pub fn disorder(&self) -> Disorder {
        self.shelf.disorder()
    }

    /// Takes secrets found in the capture.
    pub fn secrets(&mut self, secrets: &Secrets<'_>) {
        self.engine.secrets(secrets);
    }

    /// Takes the next bytes of a capture, pcap or pcapng, cut anywhere.
    pub fn push_capture(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        self.feed(|feed, out| feed.push(bytes, out))
    }

    /// Lets `step` feed the session; the feed is lent to it.
    fn feed(
        &mut self,
        step: impl FnOnce(&mut Feed, &mut dyn FnMut(Item<'_>)) -> Result<(), crate::capture::CaptureError>,
    ) -> Result<(), RunError> {
        let mut feed = self.feed.take().unwrap_or_else(|| Feed::new(self.facts.file.as_str(), &self.limits));
        let mut failure = None;
        let result = step(&mut feed, &mut |item| match item {
            Item::Frame(frame) => failure = failure.take().or(self.push(&frame).err()),
            Item::Secrets(secrets) => self.secrets(&secrets),
        });
        self.feed = Some(feed);
        result?;
        failure.map_or(Ok(()), |error| Err(failed(error, "")))
    }

    /// Writes the entries that are over, while the session goes on.
    pub fn snapshot(&mut self, out: &mut dyn Write) -> Result<Summary, WriteError> {
        self.hand_on_all()?;
        self.gather_facts();
        let (writer, totals) = self.engine.snapshot();
        writer.write(&self.facts, totals, out)
    }

    /// Writes the entries that are over to an output that was opened before.
    pub fn write_snapshot(&mut self, mut output: Output) -> Result<Summary, RunError> {
        let summary = self.snapshot(&mut output).map_err(|error| failed(error, &output.name()))?;
        output.commit()?;
        Ok(summary)
    }

    /// Forgets the entries that are over, so that the next file begins with what comes now. Connections, names and secrets
    /// stay known.
    pub fn rotate(&mut self) {
        self.engine.forget();
        self.facts.packets = 0;
        (self.facts.first, self.facts.last) = (None, None);
    }

    fn gather_facts(&mut self) {
        self.facts.dropped = self.dropped();
        self.facts.disorder = self.shelf.disorder();
        self.facts.link_types = self.links.iter().map(|&link| link_type_name(link).to_owned()).collect();
    }

    /// The capture ends: all connections are closed.
    pub fn end(mut self) -> Result<Ended, RunError> {
        if self.feed.is_some() {
            match self.feed(|feed, out| feed.finish(out)) {
                // What came was no capture, or empty: so is the HAR.
                Err(RunError::Capture(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        self.hand_on_all().map_err(|error| failed(error, ""))?;
        self.gather_facts();
        let damage = self.damage();
        let finished = self.engine.finish().map_err(|error| failed(error, ""))?;
        Ok(Ended { finished, facts: self.facts, damage, disorder: self.shelf.disorder() })
    }

    /// The capture ends: writes the HAR.
    pub fn finish(mut self, out: &mut dyn Write) -> Result<Outcome, WriteError> {
        self.hand_on_all()?;
        self.gather_facts();
        let Finished { writer, totals, seen } = self.engine.finish()?;
        let summary = writer.write(&self.facts, totals, out)?;
        Ok(Outcome { summary, seen, dropped: self.facts.dropped, disorder: self.facts.disorder })
    }

    /// The capture ends: writes the HAR to an output that was opened before.
    pub fn write(self, mut output: Output) -> Result<Outcome, RunError> {
        let outcome = self.finish(&mut output).map_err(|error| failed(error, &output.name()))?;
        output.commit()?;
        Ok(outcome)
    }
}

impl Ended {
    /// Writes the HAR.
    pub fn write(&mut self, out: &mut dyn Write) -> Result<Summary, WriteError> {
        let Finished { writer, totals, .. } = &self.finished;
        writer.snapshot().write(&self.facts, totals.clone(), out)
    }

    /// Frames taken.
    pub fn packets(&self) -> u64 {
        self.facts.packets
    }

    /// What was collected, in numbers.
    pub fn summary(&self) -> &Summary {
        self.finished.totals.summary()
    }

    /// What the engine saw besides exchanges.
    pub fn seen(&self) -> &Seen {
        &self.finished.seen
    }

    /// What capture programs say they dropped.
    pub fn dropped(&self) -> Dropped {
        self.facts.dropped
    }

    /// Frames out of time order.
    pub fn disorder(&self) -> Disorder {
        self.disorder
    }

    /// Damages of the capture that came as bytes; the first few.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }
}

/// What failed, for people.
pub(super) fn failed(error: WriteError, target: &str) -> RunError {
    match error {
        WriteError::Output(error) => RunError::Output { target: target.to_owned(), error },
        WriteError::Spool(error) => RunError::Spool { folder: std::env::temp_dir(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Reader;

    fn capture(name: &str) -> (std::path::PathBuf, Vec<u8>) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        (path.clone(), std::fs::read(path).unwrap())
    }

    fn session() -> Session {
        Session::new(&Options::default(), "test", KeyLog::default())
    }

    fn entries(har: &[u8]) -> Vec<serde_json::Value> {
        let har: serde_json::Value = serde_json::from_slice(har).unwrap();
        har["log"]["entries"].as_array().unwrap().clone()
    }

    #[test]
    fn bytes_and_frames_give_the_same_har() {
        for name in ["small-clear.pcapng", "small-h2.pcapng", "errors-clear.pcapng"] {
            let (path, bytes) = capture(name);
            let mut by_frames = session();
            let mut reader = Reader::open(path, &Limits::default()).unwrap();
            while let Some(item) = reader.next().unwrap() {
                match item {
                    Item::Frame(frame) => by_frames.push(&frame).unwrap(),
                    Item::Secrets(secrets) => by_frames.secrets(&secrets),
                }
            }
            let mut by_bytes = session();
            for piece in bytes.chunks(1000) {
                by_bytes.push_capture(piece).unwrap();
            }
            let (mut one, mut other) = (Vec::new(), Vec::new());
            by_frames.finish(&mut one).unwrap();
            let mut ended = by_bytes.end().unwrap();
            ended.write(&mut other).unwrap();
            assert!(!entries(&one).is_empty());
            assert_eq!(String::from_utf8(one).unwrap(), String::from_utf8(other.clone()).unwrap());
            // Once more gives the same.
            let mut again = Vec::new();
            ended.write(&mut again).unwrap();
            assert_eq!(other, again);
        }
    }

    #[test]
    fn a_snapshot_changes_nothing() {
        let (_, bytes) = capture("small-clear.pcapng");
        let (mut plain, mut watched) = (session(), session());
        let mut seen = 0;
        for piece in bytes.chunks(20_000) {
            plain.push_capture(piece).unwrap();
            watched.push_capture(piece).unwrap();
            let mut har = Vec::new();
            watched.snapshot(&mut har).unwrap();
            let now = entries(&har).len();
            assert!(now >= seen && now as u64 == watched.entries());
            seen = now;
        }
        assert!(seen > 0);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        plain.end().unwrap().write(&mut one).unwrap();
        watched.end().unwrap().write(&mut other).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn parts_hold_each_entry_once() {
        let (_, bytes) = capture("small-clear.pcapng");
        let (mut whole, mut parted) = (session(), session());
        let mut parts = Vec::new();
        for piece in bytes.chunks(bytes.len() / 3) {
            whole.push_capture(piece).unwrap();
            parted.push_capture(piece).unwrap();
            let mut har = Vec::new();
            parted.snapshot(&mut har).unwrap();
            parted.rotate();
            parts.push(entries(&har).len());
        }
        let mut har = Vec::new();
        parted.end().unwrap().write(&mut har).unwrap();
        parts.push(entries(&har).len());
        har.clear();
        whole.end().unwrap().write(&mut har).unwrap();
        assert!(parts.iter().filter(|&&len| len > 0).count() > 1, "{parts:?}");
        assert_eq!(parts.iter().sum::<usize>(), entries(&har).len());
    }
}
