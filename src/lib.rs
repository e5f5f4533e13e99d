//! Packet captures become HAR (HTTP Archive 1.2).
//!
//! The house has floors; a file uses only its own floor or a lower one:
//!
//! ```text
//! 9  cli  ffi  wireshark      the doors
//! 8  engine  run              frames in, entries out; files to one ordered HAR
//! 7  har                      entry, page, timings, sanitise, writer
//! 6  exchange                 pairing, bodies, content coding, messages
//! 5  http  dns                HTTP/1, HTTP/2, HTTP/3; WebSocket, SSE, gRPC; name lookups
//! 4  tls  quic                secrets, records, keys; QUIC packets and streams
//! 3  tcp                      connections, reassembly
//! 2  net                      link layers, tunnels, IP, fragments
//! 1  capture                  files, pipes, compressed files
//! 0  base                     bytes, time, limits, budget, spool, anomalies
//! ```

pub mod base;
pub mod capture;
pub mod cli;
pub mod dns;
pub mod engine;
pub mod exchange;
pub mod ffi;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod har;
pub mod http;
pub mod net;
pub mod quic;
pub mod run;
pub mod tcp;
pub mod tls;
#[cfg(unix)]
pub mod wireshark;
