//! Builds captures for tests: any byte order, resolution and block, right or wrong.

use super::order::Order;

pub(crate) use super::order::Order::{Big, Little};

/// Bytes of a capture under construction; every number goes in its byte order.
pub(crate) struct Build {
    order: Order,
    /// What was built so far.
    pub(crate) bytes: Vec<u8>,
}

/// An option of a pcapng block.
pub(crate) type Opt<'a> = (u16, &'a [u8]);

impl Build {
    pub(crate) fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(match self.order {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        });
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(match self.order {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        });
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend(match self.order {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        });
        self
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn pad(&mut self) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A pcap file header; `link` is the whole field.
    pub(crate) fn pcap(order: Order, magic: u32, link: u32) -> Self {
        let mut build = Self::new(order);
        build.u32(magic).u16(2).u16(4).u64(0).u32(65_535).u32(link);
        build
    }

    /// A pcap record.
    pub(crate) fn record(&mut self, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> &mut Self {
        self.u32(seconds).u32(fraction).u32(data.len() as u32).u32(original).raw(data)
    }

    /// A pcapng block of any type.
    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let len = body.len().next_multiple_of(4) as u32 + 12;
        self.u32(kind).u32(len).raw(body).pad().u32(len)
    }

    /// A section header in this byte order, which holds from here on.
    pub(crate) fn section(&mut self, order: Order) -> &mut Self {
        self.order = order;
        let mut body = Self::new(order);
        body.u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
        self.block(0x0a0d_0d0a, &body.bytes)
    }

    /// Options and their end.
    pub(crate) fn options(&mut self, options: &[Opt<'_>]) -> &mut Self {
        for (code, value) in options {
            self.u16(*code).u16(value.len() as u16).raw(value).pad();
        }
        if options.is_empty() { self } else { self.u32(0) }
    }

    /// An interface description.
    pub(crate) fn interface(&mut self, link_type: u16, snaplen: u32, options: &[Opt<'_>]) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u16(link_type).u16(0).u32(snaplen).options(options);
        self.block(1, &body.bytes)
    }

    /// An enhanced packet block; `time` in units of the interface.
    pub(crate) fn packet(
        &mut self,
        interface: u32,
        time: u64,
        original: u32,
        data: &[u8],
        options: &[Opt<'_>],
    ) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u32(interface).u32((time >> 32) as u32).u32(time as u32).u32(data.len() as u32).u32(original);
        body.raw(data).pad().options(options);
        self.block(6, &body.bytes)
    }

    /// A simple packet block.
    pub(crate) fn simple(&mut self, original: u32, data: &[u8]) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u32(original).raw(data);
        self.block(3, &body.bytes)
    }

    /// What an interface has counted.
    pub(crate) fn statistics(&mut self, interface: u32, options: &[Opt<'_>]) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u32(interface).u64(0).options(options);
        self.block(5, &body.bytes)
    }

    /// An obsolete packet block; `drops` is 0xffff when they are not counted.
    pub(crate) fn old_packet(&mut self, interface: u16, drops: u16, time: u64, data: &[u8]) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u16(interface).u16(drops).u32((time >> 32) as u32).u32(time as u32);
        body.u32(data.len() as u32).u32(data.len() as u32).raw(data);
        self.block(2, &body.bytes)
    }

    /// A decryption secrets block.
    pub(crate) fn secrets(&mut self, kind: u32, data: &[u8]) -> &mut Self {
        let mut body = Self::new(self.order);
        body.u32(kind).u32(data.len() as u32).raw(data);
        self.block(10, &body.bytes)
    }
}
