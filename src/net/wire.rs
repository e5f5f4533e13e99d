//! A run of captured bytes that knows how many more followed on the wire.

/// Why the decoding of a frame ended before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A header runs into what the snapshot length cut off.
    Cut,
    /// A header contradicts itself or the length of the packet.
    Malformed,
    /// More tunnels inside one another than are followed.
    TooDeep,
}

/// Bytes of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    /// The bytes that are in the capture.
    pub(super) data: &'a [u8],
    /// How many more follow `data` on the wire.
    pub(super) cut: usize,
}

impl<'a> Wire<'a> {
    /// The fault of a header that does not fit.
    pub(super) fn short(self) -> Fault {
        if self.cut > 0 { Fault::Cut } else { Fault::Malformed }
    }

    /// The first `N` bytes, without taking them.
    #[inline]
    pub(super) fn peek<const N: usize>(self) -> Result<&'a [u8; N], Fault> {
        self.data.first_chunk().ok_or(self.short())
    }

    /// The first `N` bytes and what follows them.
    #[inline]
    pub(super) fn split<const N: usize>(self) -> Result<(&'a [u8; N], Wire<'a>), Fault> {
        let (head, data) = self.data.split_first_chunk().ok_or(self.short())?;
        Ok((head, Wire { data, ..self }))
    }

    /// What follows the first `len` bytes.
    #[inline]
    pub(super) fn skip(self, len: usize) -> Result<Wire<'a>, Fault> {
        let data = self.data.get(len..).ok_or(self.short())?;
        Ok(Wire { data, ..self })
    }

    /// What follows the first `len` bytes; nothing, with less cut off, when the cut lies inside them.
    pub(super) fn skip_into_cut(self, len: usize) -> Result<Wire<'a>, Fault> {
        match self.data.get(len..) {
            Some(data) => Ok(Wire { data, ..self }),
            None => {
                let cut = (self.data.len() + self.cut).checked_sub(len).ok_or(Fault::Malformed)?;
                Ok(Wire { data: &[], cut })
            }
        }
    }

    /// Bytes on the wire.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.data.len().saturating_add(self.cut)
    }

    /// The first `len` bytes on the wire, or all when there are fewer.
    #[inline]
    pub(super) fn first(self, len: usize) -> Wire<'a> {
        match self.data.get(..len) {
            Some(data) => Wire { data, cut: 0 },
            None => Wire { data: self.data, cut: self.cut.min(len - self.data.len()) },
        }
    }

    /// Everything but the last `len` bytes on the wire.
    pub(super) fn without_last(self, len: usize) -> Wire<'a> {
        self.first(self.len().saturating_sub(len))
    }
}

/// Two bytes in network order.
#[inline]
pub(super) fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
