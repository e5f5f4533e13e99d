//! Floor 5: DNS lookups, over UDP and over TCP, on port 53.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod lookup;
mod message;
mod stream;
#[cfg(test)]
mod tests;

pub use lookup::{Dns, Lookup};
pub use stream::DnsStream;

/// The port of DNS; multicast DNS (5353) and LLMNR (5355) resolve no names of web servers.
pub const PORT: u16 = 53;
