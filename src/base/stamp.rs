//! When and where in the capture: times, frame numbers, and the span of frames that bytes came from.

/// Nanoseconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds from `earlier` to `self`; negative when `self` is the earlier one.
    pub fn millis_since(self, earlier: Timestamp) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `self` is the earlier one.
    pub fn nanos_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// Number of a frame in the capture, counted from 1 as Wireshark's `frame.number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct FrameNumber(pub u64);

/// One moment of the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Stamp {
    /// The frame that brought it.
    pub frame: FrameNumber,
    /// When it was there: the frame's time, never earlier than what was delivered before it in the same direction.
    pub time: Timestamp,
}

/// The frames a run of bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Stamp of the first byte.
    pub first: Stamp,
    /// Stamp of the last byte: `first.time <= last.time`.
    pub last: Stamp,
    /// True when a frame of the span was selected by the user (marked or displayed in the analyzer).
    pub selected: bool,
}

impl Span {
    /// The span of one frame.
    pub fn of(stamp: Stamp, selected: bool) -> Self {
        Self { first: stamp, last: stamp, selected }
    }

    /// The span from the start of `self` to the end of `next`, which follows it.
    pub fn join(self, next: Span) -> Self {
        // Bytes behind a hole have the time at which a later frame filled it: that one was the last.
        let order = |stamp: Stamp| (stamp.time, stamp.frame);
        let last = if order(next.last) >= order(self.last) { next.last } else { self.last };
        Self { first: self.first, last, selected: self.selected || next.selected }
    }
}
