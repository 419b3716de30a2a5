//! Requests as bytes, what is to come of each, and the look at what did: at the answers, and at all that arrived on the
//! fake internet.

use std::collections::BTreeMap;
use std::time::Duration;

use clawker_integration::fakenet::record::{Kind, Record};
use clawker_integration::fakenet::talk::{End, Heard, Step, Talk, Tls};
use clawker_integration::wire::h2;
use clawker_integration::world::World;

/// How long a client waits for more.
const QUIET_MS: u64 = 700;
/// Likewise where that was too short, on a busy machine.
const LONG_QUIET_MS: u64 = 6_000;
/// How long a mark may be on its way where it is to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the gateway says where it was the other side that failed: the request had been let through.
const UPSTREAM_FAILED: [u16; 3] = [502, 503, 504];

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Whom a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Whether it is asked in TLS, which is looked into; else in plain HTTP.
    pub tls: bool,
}

/// Asked in TLS; its server prefers HTTP/2.
pub const LOOKED: Target = Target { name: "looked.test", tls: true };
/// Asked in TLS; its server knows no HTTP/2, so that the gateway writes what a text's framing is about.
pub const HTTP1: Target = Target { name: "looked.http1.test", tls: true };
/// Asked in plain HTTP.
pub const PLAIN: Target = Target { name: "plain.test", tls: false };
/// Each of them has a path that is denied, and no other.
pub const SHUT: &str = "/shut";

/// What is to come of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The last answer is a success, and the mark arrives in a request.
    Passes,
    /// The last answer is a refusal or an end, and the mark arrives nowhere.
    Refused,
    /// Whatever is answered, the mark arrives nowhere.
    Nowhere,
    /// Whatever is answered, the mark arrives at most inside a body.
    Inside,
}

struct Row {
    what: String,
    mark: String,
    speaks: Speaks,
    talk: Talk,
    want: Want,
    /// What the answer holds besides.
    heard: &'static str,
}

/// Rows of one test. Each has a mark of its own.
pub struct Rows {
    prefix: String,
    rows: Vec<Row>,
}

impl Rows {
    /// None yet; the prefix keeps their marks apart from another run's.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), rows: Vec::new() }
    }

    /// A conversation with a mark in it.
    pub fn add(
        &mut self,
        want: Want,
        what: impl Into<String>,
        target: Target,
        speaks: Speaks,
        steps: impl FnOnce(&str) -> Vec<Step>,
    ) {
        let mark = format!("mark{}{:03}x", self.prefix, self.rows.len());
        let alpn = match speaks {
            Speaks::Http1 => &["http/1.1"][..],
            // Without a gateway in between there is only the second for some.
            Speaks::Http2 => &["h2", "http/1.1"],
        };
        let alpn = alpn.iter().map(|&name| name.to_owned()).collect();
        let tls = target.tls.then(|| Tls { sni: target.name.to_owned(), alpn });
        let talk = Talk {
            name: target.name.to_owned(),
            port: if target.tls { 443 } else { 80 },
            to: None,
            tls,
            steps: steps(&mark),
            quiet_ms: QUIET_MS,
        };
        let what = format!("{} ({}, {speaks:?})", what.into(), target.name);
        self.rows.push(Row { what, mark, speaks, talk, want, heard: "" });
    }

    /// A conversation in HTTP/1.1 that passes, and whose answer holds a text.
    pub fn answered(
        &mut self,
        text: &'static str,
        what: impl Into<String>,
        target: Target,
        steps: impl FnOnce(&str) -> Vec<Step>,
    ) {
        self.add(Want::Passes, what, target, Speaks::Http1, steps);
        if let Some(row) = self.rows.last_mut() {
            row.heard = text;
        }
    }

    /// HTTP/1.1, all at once.
    pub fn text(
        &mut self,
        want: Want,
        what: impl Into<String>,
        target: Target,
        text: impl FnOnce(&str) -> String,
    ) {
        self.add(want, what, target, Speaks::Http1, |mark| vec![Step::send(text(mark))]);
    }

    /// Frames of HTTP/2, all at once, behind what a client says first.
    pub fn frames(
        &mut self,
        want: Want,
        what: impl Into<String>,
        target: Target,
        frames: impl FnOnce(&str) -> Vec<u8>,
    ) {
        self.add(want, what, target, Speaks::Http2, |mark| {
            vec![Step::send([h2::start(), frames(mark)].concat())]
        });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Has all conversations; whatever did not come as it should.
    pub fn wrong(&self, world: &World) -> Vec<String> {
        let all: Vec<&Row> = self.rows.iter().collect();
        let late: Vec<&Row> = looked_at(world, &all, QUIET_MS).into_iter().map(|(row, _)| row).collect();
        // Patience forgives an answer that was late, and nothing that has arrived.
        looked_at(world, &late, LONG_QUIET_MS)
            .into_iter()
            .map(|(row, heard)| {
                let statuses = statuses(row.speaks, &heard);
                let text = heard.text();
                let arrived: Vec<Record> = world.rig.saw(&row.mark).into_iter().take(3).collect();
                format!(
                    "{}: {:?} wanted; answered {statuses:?}, then {:?} {} after {} ms: {}\n  arrived: {arrived:?}",
                    row.what,
                    row.want,
                    heard.end,
                    heard.why,
                    heard.millis,
                    text.chars().take(300).collect::<String>().escape_debug()
                )
            })
            .collect()
    }

    /// Has all conversations where nothing is in the way; the rows whose mark did not arrive. Without this a row that
    /// can't arrive would pass for one that was refused.
    pub fn lost(&self, world: &World) -> Vec<String> {
        let mut rows = self.rows.iter().collect::<Vec<&Row>>();
        heard(world, &rows, QUIET_MS);
        clawker_integration::rig::wait(PATIENCE, || {
            let origin = Origin::of(&world.rig.records());
            rows.retain(|row| !origin.everything.contains(&row.mark));
            rows.is_empty()
        });
        rows.iter().map(|row| row.what.clone()).collect()
    }
}

/// Has these conversations; the rows that did not come as they should, with what was heard.
fn looked_at<'a>(world: &World, rows: &[&'a Row], quiet_ms: u64) -> Vec<(&'a Row, Heard)> {
    if rows.is_empty() {
        return Vec::new();
    }
    let heard = heard(world, rows, quiet_ms);
    let origin = Origin::of(&world.rig.records());
    let pairs = rows.iter().copied().zip(heard);
    pairs.filter(|(row, heard)| !is_right(row, heard, &origin)).collect()
}

fn heard(world: &World, rows: &[&Row], quiet_ms: u64) -> Vec<Heard> {
    let talks: Vec<Talk> = rows.iter().map(|row| Talk { quiet_ms, ..row.talk.clone() }).collect();
    world.talks("dev", &talks).unwrap()
}

fn is_right(row: &Row, heard: &Heard, origin: &Origin) -> bool {
    let last = statuses(row.speaks, heard).last().copied();
    match row.want {
        Want::Passes => {
            last.is_some_and(|status| (100..300).contains(&status))
                && origin.requests.contains(&row.mark)
                && heard.text().contains(row.heard)
        }
        Want::Refused => {
            let refused = match last {
                Some(status) => status == 0 || (status >= 400 && !UPSTREAM_FAILED.contains(&status)),
                None => matches!(heard.end, End::Closed | End::Reset),
            };
            refused && !origin.everything.contains(&row.mark)
        }
        Want::Nowhere => !origin.everything.contains(&row.mark),
        Want::Inside => !origin.requests.contains(&row.mark),
    }
}

/// The answers' statuses, in their order; 0 for a stream that was reset.
fn statuses(speaks: Speaks, heard: &Heard) -> Vec<u16> {
    match speaks {
        Speaks::Http1 => {
            let text = heard.text();
            let heads = text.split("HTTP/1.1 ").skip(1);
            heads.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
        }
        Speaks::Http2 => {
            let frames = h2::frames(&heard.bytes());
            (0..8).filter_map(|number| h2::status(&frames, 2 * number + 1)).collect()
        }
    }
}

/// All that arrived, in lower case.
struct Origin {
    /// Names, request lines and headers of HTTP requests.
    requests: String,
    /// These, and every byte.
    everything: String,
}

impl Origin {
    fn of(records: &[Record]) -> Self {
        let (mut requests, mut everything) = (String::new(), String::new());
        let mut streams: BTreeMap<(u64, &str), Vec<u8>> = BTreeMap::new();
        for record in records {
            match record.kind {
                Kind::Http => {
                    let headers = record.headers.iter().flat_map(|(name, value)| [name, value]);
                    for text in [&record.name, &record.what].into_iter().chain(headers) {
                        requests.push_str(text);
                        requests.push('\n');
                    }
                    everything.push_str(&record.text);
                }
                Kind::Data => {
                    streams.entry((record.connection, &record.what)).or_default().extend(record.bytes());
                }
                _ => {
                    everything.push_str(&record.name);
                    everything.push('\n');
                }
            }
        }
        for bytes in streams.values() {
            everything.push_str(&String::from_utf8_lossy(bytes));
            everything.push('\n');
        }
        everything.push_str(&requests);
        Self { requests: requests.to_ascii_lowercase(), everything: everything.to_ascii_lowercase() }
    }
}
