//! HTTP/3 ([RFC 9114](https://www.rfc-editor.org/rfc/rfc9114)): streams of a QUIC connection become exchanges.
//!
//! [`framer`] finds the frames of one direction of a stream, [`qpack`] decodes field sections, `exchange` makes events of them,
//! and [`Connection`] knows which stream is what. What was lost is told as in [HTTP/2](super::h2).

mod connection;
mod exchange;
pub mod framer;
pub mod qpack;
mod static_table;

pub use connection::Connection;

#[cfg(test)]
mod tests;
