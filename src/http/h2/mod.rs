//! HTTP/2 ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113)): two directions of frames become exchanges.
//!
//! [`framer`] finds the frames of a direction and passes content on as it comes; [`hpack`] decodes header blocks; here frames
//! become events of streams. An exchange whose head could be read only in part, because header compression state was lost, is
//! still an exchange: unknown fields are left out, an unknown method reads `UNKNOWN`, an unknown target is empty, an unknown
//! status 0, and the exchange carries [`AnomalyKind::HeaderStateLost`](crate::base::anomaly::AnomalyKind::HeaderStateLost). How many
//! entries went missing is often found out from what comes behind ([`recovery`]); what is known in this way carries
//! [`AnomalyKind::HeaderStateRecovered`](crate::base::anomaly::AnomalyKind::HeaderStateRecovered).

mod blocks;
mod connection;
mod exchanges;
pub mod frame;
pub mod framer;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod hpack;
pub mod probe;
pub mod recovery;
mod search;

pub use connection::Connection;
pub use frame::PREFACE;
pub use probe::{Verdict, probe};

#[cfg(test)]
mod tests;
