//! The ssh-agent's protocol between an agent's ssh and the user's own: keys are listed, and sign-ins are signed for
//! hosts that the policy lists and the user's known hosts name. Nothing else passes: no key is added or removed, no
//! document signed.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::bound::{self, Bound};
use super::known::{self, Known};
use super::uses::{Use, Uses, now};
use super::{frame, listed};
use crate::paths::Paths;
use crate::store::AgentRecord;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const EXTENSION: u8 = 27;
const BIND: &[u8] = b"session-bind@openssh.com";

/// Where the agent's sessions lead.
struct Session<'a> {
    paths: &'a Paths,
    record: &'a AgentRecord,
    uses: &'a Uses,
    bound: Option<Bound>,
}

/// Talks with one client until it leaves.
///
/// # Errors
/// When either side breaks off or a use can't be written down.
pub async fn talk(
    paths: &Paths,
    record: &AgentRecord,
    uses: &Uses,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    of_user: &Path,
) -> io::Result<()> {
    let mut user = UnixStream::connect(of_user).await?;
    let mut session = Session { paths, record, uses, bound: None };
    while let Some(message) = frame::read(stream).await? {
        let answer = match message.split_first() {
            Some((&REQUEST_IDENTITIES, [])) => ask(&mut user, &message).await?,
            Some((&EXTENSION, body)) => session.bind(body, &message, &mut user).await?,
            Some((&SIGN_REQUEST, body)) => session.sign(body, &message, &mut user).await?,
            _ => vec![FAILURE],
        };
        frame::write(stream, &answer).await?;
    }
    Ok(())
}

async fn ask(user: &mut UnixStream, message: &[u8]) -> io::Result<Vec<u8>> {
    frame::write(user, message).await?;
    frame::read(user).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Session<'_> {
    async fn bind(&mut self, body: &[u8], message: &[u8], user: &mut UnixStream) -> io::Result<Vec<u8>> {
        let Some(rest) = after_name(body, BIND) else { return Ok(vec![FAILURE]) };
        // A session that was bound once stays what it is: a second host behind it would be a hop.
        match bound::parse(rest) {
            Ok(bound) if self.bound.is_none() && !bound.forwarding => {
                self.bound = Some(bound);
                // For keys that the user bound to hosts; an agent that does not know this refuses, which is no harm.
                ask(user, message).await?;
                Ok(vec![SUCCESS])
            }
            Ok(_) => self.leave("an agent that is passed on to a host"),
            Err(why) => self.leave(why),
        }
    }

    /// Ends the conversation: what comes behind such a message could be anybody's.
    fn leave(&self, why: &'static str) -> io::Result<Vec<u8>> {
        self.refuse("", None, why)?;
        Err(io::Error::other(why))
    }

    async fn sign(&mut self, body: &[u8], message: &[u8], user: &mut UnixStream) -> io::Result<Vec<u8>> {
        let Some(bound) = &self.bound else {
            self.refuse("", None, "no host is named; OpenSSH 8.9 or newer does")?;
            return Ok(vec![FAILURE]);
        };
        if !bound::is_sign_in(body, &bound.session) {
            self.refuse("", None, "not a sign-in to the host that is named")?;
            return Ok(vec![FAILURE]);
        }
        let Some(host) = self.host(&bound.host_key).await else {
            self.refuse("", None, "a host that the policy or your known_hosts does not list")?;
            return Ok(vec![FAILURE]);
        };
        let answer = ask(user, message).await?;
        let granted = answer.first().is_some_and(|kind| *kind != FAILURE);
        let detail = if granted { "" } else { "the host's ssh-agent refused" };
        self.uses.note(&about(granted, &host.host, Some(host.port), detail))?;
        Ok(answer)
    }

    /// The listed host whose key it is.
    async fn host(&self, key: &[u8]) -> Option<Known> {
        let policy = listed::policy(self.paths, self.record).ok()?;
        let known = known::look_up(&listed::ssh(&policy)).await;
        known.into_iter().find(|known| {
            let keys = known.keys.iter().filter_map(|line| ssh_key::PublicKey::from_openssh(line).ok());
            keys.filter_map(|known| known.to_bytes().ok()).any(|known| known == key)
        })
    }

    fn refuse(&self, host: &str, port: Option<u16>, why: &str) -> io::Result<()> {
        self.uses.note(&about(false, host, port, why))
    }
}

fn about(granted: bool, host: &str, port: Option<u16>, detail: &str) -> Use {
    Use {
        time: now(),
        granted,
        what: "git-ssh".to_owned(),
        host: host.to_owned(),
        port,
        detail: detail.to_owned(),
    }
}

/// What follows a string in the protocol's form, where it is this one.
fn after_name<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (len, rest) = body.split_at_checked(4)?;
    let len = usize::try_from(u32::from_be_bytes(len.try_into().ok()?)).ok()?;
    let (found, rest) = rest.split_at_checked(len)?;
    (found == name).then_some(rest)
}
