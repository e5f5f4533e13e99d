//! Floor 0: what every room needs: a byte cursor, time and frame numbers, limits, the memory budget, the spool, anomalies,
//! who was used last, a decoder that several rooms share.

pub mod anomaly;
pub mod budget;
pub mod bytes;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod limits;
pub mod recency;
pub mod spool;
pub mod stamp;
pub mod zstd;

pub use anomaly::{Anomalies, Anomaly};
pub use budget::{Budget, Lease};
pub use bytes::{Reader, Short};
pub use limits::Limits;
pub use recency::Recency;
pub use spool::{Spool, Stored};
pub use stamp::{FrameNumber, Span, Stamp, Timestamp};
pub use zstd::Unzstd;
