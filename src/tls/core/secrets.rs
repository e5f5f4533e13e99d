//! Which secrets protect the records of a session.

use super::{Core, keys_of};
use crate::tcp::Side;
use crate::tls::cipher::Opener;
use crate::tls::half::{Epoch, Keys, Need};
use crate::tls::keylog::{Found, KeyLog, Label, SecretSource};
use crate::tls::keys;
use crate::tls::legacy::Legacy;
use crate::tls::record::Record;
use crate::tls::suite::BulkCipher;

impl Core {
    /// A secret of the session, if it is known.
    pub(super) fn find(&mut self, label: Label, keys: &KeyLog) -> Option<Found> {
        if label != Label::Master {
            return keys.secret(self.handshake.client_random.as_ref()?, label);
        }
        self.master.clone().or_else(|| keys::masters(&self.handshake, keys).into_iter().next())
    }

    /// Settles on the master secret; of several, on the one that opens the first record.
    pub(super) fn choose_master(&mut self, side: Side, record: &Record<'_>, keys: &KeyLog) {
        if self.master.is_some() {
            return;
        }
        let mut masters = keys::masters(&self.handshake, keys);
        if masters.len() > 1
            && let Some(at) = masters.iter().position(|found| {
                let mut body = record.body.to_vec();
                let mut copy = Record { body: &mut body, ..*record };
                let opener = keys::opener(&self.handshake, &found.secret, side);
                opener.is_some_and(|mut opener| opener.open(0, &mut copy).is_ok())
            })
        {
            masters.swap(0, at);
        }
        self.master = masters.into_iter().next();
        // A key log brings its own lines for sessions that are resumed; private keys say nothing of them.
        if let Some(master) = &self.master
            && keys.has_private_keys()
        {
            let names = [Some(self.handshake.session_id.clone()), self.handshake.ticket_issued.clone()];
            names.iter().flatten().filter(|name| !name.is_empty()).for_each(|name| keys.learn(name, master));
        }
    }

    /// The keys of an epoch; `Ok(None)` when the secret does not fit the suite.
    pub(super) fn keys_for(&mut self, side: Side, epoch: Epoch, keys: &KeyLog) -> Result<Option<Keys>, Need> {
        if self.handshake.client_random.is_none() {
            return Err(Need::Hellos);
        }
        let label = epoch.label(side);
        let Some(found) = self.find(label, keys) else {
            // Without encryption the content is there, whoever wrote it.
            return match self.handshake.suite.and_then(|suite| suite.cipher) {
                Some(BulkCipher::Null(mac)) => Ok(Legacy::null(mac, None).map(|legacy| Keys {
                    opener: Opener::Legacy(legacy.into()),
                    secret: None,
                    source: SecretSource::InCapture,
                })),
                _ => Err(Need::Secret(label)),
            };
        };
        Ok(match epoch {
            Epoch::Session | Epoch::Plain => keys::opener(&self.handshake, &found.secret, side).map(|opener| Keys {
                opener,
                secret: None,
                source: found.source,
            }),
            _ => keys_of(&self.handshake, found),
        })
    }
}
