//! What capture programs say they dropped.

/// Packets that a capture program knows it does not hold, each count only where the capture states it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Dropped by the interface (`isb_ifdrop`). dumpcap counts here what the kernel and itself dropped as well.
    pub interface: Option<u64>,
    /// Accepted by the filter and dropped by the kernel (`isb_osdrop`).
    pub kernel: Option<u64>,
    /// Accepted by the filter, not dropped by the kernel, and not handed to the program that writes the file
    /// (`isb_filteraccept` less `isb_osdrop` and `isb_usrdeliv`).
    pub writer: Option<u64>,
    /// Dropped before single packets, as these say (`epb_dropcount`, and the drops of old packet blocks).
    pub between_packets: Option<u64>,
    /// All of them. What statistics and packets of one interface both tell of are the same packets, and count once.
    pub packets: Option<u64>,
}

impl Dropped {
    /// The counts that are known, with their names in `_capture.dropped`.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("packets", self.packets),
            ("interface", self.interface),
            ("kernel", self.kernel),
            ("writer", self.writer),
            ("betweenPackets", self.between_packets),
        ];
        all.into_iter().filter_map(|(name, count)| Some((name, count?)))
    }

    /// Adds what another interface, section or file says.
    pub fn add(&mut self, other: &Dropped) {
        for (ours, theirs) in [
            (&mut self.interface, other.interface),
            (&mut self.kernel, other.kernel),
            (&mut self.writer, other.writer),
            (&mut self.between_packets, other.between_packets),
            (&mut self.packets, other.packets),
        ] {
            *ours = sum(*ours, theirs);
        }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// What one interface of a pcapng section states. A later statistics block holds all that an earlier one did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    interface: Option<u64>,
    accepted: Option<u64>,
    kernel: Option<u64>,
    delivered: Option<u64>,
    between_packets: Option<u64>,
}

impl Statistics {
    /// Takes an option of a statistics block.
    pub(super) fn take(&mut self, code: u16, count: u64) {
        match code {
            5 => self.interface = Some(count),
            6 => self.accepted = Some(count),
            7 => self.kernel = Some(count),
            8 => self.delivered = Some(count),
            _ => {}
        }
    }

    /// Packets dropped since the packet before.
    pub(super) fn skip(&mut self, count: u64) {
        self.between_packets = sum(self.between_packets, Some(count));
    }

    pub(super) fn dropped(&self) -> Dropped {
        let &Self { interface, accepted, kernel, delivered, between_packets } = self;
        let writer = match (accepted, delivered) {
            (Some(accepted), Some(delivered)) => {
                Some(accepted.saturating_sub(kernel.unwrap_or(0)).saturating_sub(delivered))
            }
            _ => None,
        };
        let packets = sum(sum(interface, kernel), writer).max(between_packets);
        Dropped { interface, kernel, writer, between_packets, packets }
    }
}
