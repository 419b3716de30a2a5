//! TLS that is passed on by its SNI, and is not looked into: every ClientHello that a real client could send for a listed
//! name arrives as it was, and whatever else is made up is reset before a byte of it goes on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use clawker_integration::fakenet::record::Kind;
use clawker_integration::fakenet::talk::{End, Heard, Step, Talk};
use clawker_integration::wire::hello::{self, ECH, Hello, PADDING, SERVER_NAME, SUPPORTED_VERSIONS};
use clawker_integration::world::World;

/// How long a client waits for an answer, and the most that a silent one is let wait.
const QUIET_MS: u64 = 4_000;

/// A hello and what it says; each has a mark of its own that is looked for where it must not arrive.
struct Case {
    what: &'static str,
    mark: String,
    steps: Vec<Step>,
    passes: bool,
}

fn world(instance: &str) -> World {
    let world = World::new(instance).unwrap();
    let authority = world.rig.ca_pem_path();
    world
        .sandbox
        .write_project_file(&format!(
            "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    rules:\n      - {{dst: listed.test}}\n      \
             - {{dst: .wild.test}}\n      - {{dst: under_score.test}}\n",
            authority.display()
        ))
        .unwrap();
    world.agent("dev").unwrap();
    world
}

/// Sends the bytes of hellos, alone and in ways of their own.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, passes: bool, what: &'static str, steps: impl FnOnce(&str) -> Vec<Step>) {
        let mark = format!("canary-hello-{:02}.", self.0.len());
        let steps = steps(&mark);
        self.0.push(Case { what, mark, steps, passes });
    }

    fn hello(&mut self, passes: bool, what: &'static str, make: impl FnOnce(Hello) -> Hello) {
        self.add(passes, what, |mark| vec![Step::send(make(Hello::new(mark)).bytes())]);
    }

    /// A name by itself, in a hello that is otherwise usual.
    fn name(&mut self, passes: bool, what: &'static str, name: impl AsRef<[u8]>) {
        self.hello(passes, what, |hello| hello.named(name));
    }

    /// Runs all; whatever is not as it should be.
    fn run(&self, world: &World) -> Vec<String> {
        let talk = |case: &Case| Talk {
            name: "listed.test".to_owned(),
            port: 443,
            to: None,
            tls: None,
            steps: case.steps.clone(),
            quiet_ms: QUIET_MS,
        };
        let talks: Vec<Talk> = self.0.iter().map(talk).collect();
        let heard = world.talks("dev", &talks).unwrap();
        let mut wrong = Vec::new();
        for (case, heard) in self.0.iter().zip(&heard) {
            let arrived = world.rig.saw(&case.mark);
            let is_right = if case.passes {
                answered(heard) && !arrived.is_empty()
            } else {
                heard.bytes().is_empty() && heard.end != End::Open && arrived.is_empty()
            };
            if !is_right {
                wrong.push(format!(
                    "{} (passes: {}): {:?} {} after {} ms, {} bytes: {:02x?}; arrived {arrived:?}",
                    case.what,
                    case.passes,
                    heard.end,
                    heard.why,
                    heard.millis,
                    heard.bytes().len(),
                    heard.bytes().get(..8),
                ));
            }
        }
        wrong
    }
}

/// Whether the other side sent a ServerHello, in a record of its own.
fn answered(heard: &Heard) -> bool {
    matches!(heard.bytes().as_slice(), [0x16, 3, _, _, _, 2, ..])
}

/// The bytes in pieces, with a pause after each.
fn in_pieces(bytes: &[u8], size: usize, pause_ms: u64) -> Vec<Step> {
    bytes.chunks(size).flat_map(|piece| [Step::send(piece), Step::Pause(pause_ms)]).collect()
}

#[test]
fn a_listed_name_passes_however_its_hello_is_cut_and_filled() {
    let world = world("hello-ok");
    let mut cases = Cases::default();
    cases.name(true, "a usual hello", "listed.test");
    cases.name(true, "a name below a wildcard", "a.b.wild.test");
    cases.name(true, "the wildcard's own name", "wild.test");
    cases.name(true, "upper case", "LISTED.Test");
    cases.name(true, "a listed name with an underscore", "under_score.test");
    cases.name(true, "a label with an underscore below a wildcard", "a_b.wild.test");
    cases.name(true, "the longest label", format!("{}.wild.test", "a".repeat(63)));
    cases.hello(true, "GREASE", |hello| hello.greased().named("listed.test"));
    cases.hello(true, "GREASE of ECH", |hello| hello.with(ECH, hello::ech()).named("listed.test"));
    cases.hello(true, "a browser's: GREASE, ECH, a post-quantum share", |hello| {
        hello.greased().post_quantum().with(ECH, hello::ech()).named("listed.test")
    });
    cases.hello(true, "a post-quantum share", |hello| hello.post_quantum().named("listed.test"));
    cases.hello(true, "the name first", |mut hello| {
        hello.extensions.insert(0, (SERVER_NAME, hello::server_names(&[(0, b"listed.test")])));
        hello
    });
    cases.hello(true, "the name behind padding", |hello| {
        hello.with(PADDING, vec![0; 3_000]).named("listed.test")
    });
    cases.hello(true, "15 KB", |hello| hello.with(PADDING, vec![0; 15_000]).named("listed.test"));
    cases.hello(true, "TLS 1.2", |hello| hello.without(SUPPORTED_VERSIONS).named("listed.test"));
    // Cut into records, only the name is found again.
    cases.add(true, "several records", |mark| {
        vec![Step::send(Hello::new(mark).named(format!("{mark}wild.test")).records(50))]
    });
    cases.add(true, "records of a byte each", |mark| {
        vec![Step::send(Hello::new(mark).named(format!("{mark}wild.test")).records(1))]
    });
    cases.add(true, "a post-quantum share in small records and segments", |mark| {
        let hello = Hello::new(mark).greased().post_quantum().with(ECH, hello::ech()).named("listed.test");
        in_pieces(&hello.records(200), 250, 20)
    });
    cases.add(true, "a byte at a time", |mark| {
        let hello = Hello::new(mark).named("listed.test").bytes();
        let (slow, rest) = hello.split_at(100);
        [in_pieces(slow, 1, 2), vec![Step::send(rest)]].concat()
    });
    cases.add(true, "a pause in the middle of the name", |mark| {
        let hello = Hello::new(mark).named("listed.test").bytes();
        let (first, second) = hello.split_at(hello.len() - 5);
        vec![Step::send(first), Step::Pause(300), Step::send(second)]
    });
    let wrong = cases.run(&world);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.0.len(), wrong.join("\n"));
}

#[test]
fn whatever_else_is_made_up_is_reset_before_a_byte_goes_on() {
    let world = world("hello-no");
    let mut cases = Cases::default();
    // Positive control: the mark arrives where a hello passes.
    cases.name(true, "a usual hello", "listed.test");
    for (what, name) in [
        ("an unlisted name", &b"evil.test"[..]),
        ("a name above", b"test"),
        ("a name below, without a wildcard", b"x.listed.test"),
        ("a name that ends like a listed one", b"evillisted.test"),
        ("a suffix without its dot", b"evilwild.test"),
        ("an empty name", b""),
        ("a dot", b"."),
        ("an address", b"198.51.100.140"),
        ("an address of IPv6", b"2001:db8::1"),
        ("a trailing dot", b"listed.test."),
        ("a leading dot", b".listed.test"),
        ("NUL behind", b"listed.test\0"),
        ("NUL and another name", b"listed.test\0.evil.test"),
        ("another name, NUL and a listed one", b"evil.test\0.wild.test"),
        ("a port", b"listed.test:443"),
        ("a space", b"listed.test "),
        ("a line feed", b"listed.test\n"),
        ("a slash", b"evil.test/.wild.test"),
        ("an at", b"evil.test@listed.test"),
        ("bytes that are no text", b"\xff\xfe.wild.test"),
        ("an asterisk", b"*"),
        ("a full-width dot", "listed\u{3002}test".as_bytes()),
    ] {
        cases.name(false, what, name);
    }
    cases.name(false, "256 characters", format!("{}wild.test", "aaaaaaaa.".repeat(28)));
    cases.name(false, "a label of 64 characters", format!("{}.wild.test", "a".repeat(64)));
    cases.name(false, "an asterisk below a wildcard", "*.wild.test");
    cases.name(false, "an empty label", "a..wild.test");
    cases.hello(false, "no name", |hello| hello);
    cases.hello(false, "an unlisted name and ECH", |hello| hello.with(ECH, hello::ech()).named("evil.test"));
    cases.hello(false, "ECH and no name", |hello| hello.with(ECH, hello::ech()));
    cases.hello(false, "two names in one extension", |hello| {
        hello.with(SERVER_NAME, hello::server_names(&[(0, b"listed.test"), (0, b"evil.test")]))
    });
    cases.hello(false, "the listed name second", |hello| {
        hello.with(SERVER_NAME, hello::server_names(&[(0, b"evil.test"), (0, b"listed.test")]))
    });
    cases.hello(false, "a name of another type", |hello| {
        hello.with(SERVER_NAME, hello::server_names(&[(1, b"listed.test")]))
    });
    cases.hello(false, "two extensions with names", |hello| hello.named("listed.test").named("evil.test"));
    cases.hello(false, "two extensions with the same name", |hello| {
        hello.named("listed.test").named("listed.test")
    });
    cases.hello(false, "an extension with no list", |hello| hello.with(SERVER_NAME, Vec::new()));
    cases.hello(false, "a list that is longer than its extension", |hello| {
        hello.with(SERVER_NAME, vec![0, 99, 0, 0, 11])
    });
    cases.hello(false, "bytes behind the list", |hello| {
        let names = [hello::server_names(&[(0, b"listed.test")]), b"evil.test".to_vec()].concat();
        hello.with(SERVER_NAME, names)
    });
    cases.add(false, "no TLS", |mark| {
        vec![Step::send(format!("GET /{mark} HTTP/1.1\r\nHost: listed.test\r\n\r\n"))]
    });
    cases.add(false, "SSH", |mark| vec![Step::send(format!("SSH-2.0-{mark}\r\n"))]);
    cases.add(false, "a proxy's header before TLS", |mark| {
        let hello = Hello::new(mark).named("listed.test").bytes();
        vec![Step::send([&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n"[..], &hello].concat())]
    });
    cases.add(false, "a proxy's header of version 2", |mark| {
        let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\x01\xbb";
        vec![Step::send([&header[..], &Hello::new(mark).named("listed.test").bytes()].concat())]
    });
    cases.add(false, "SSL 2", |mark| {
        let mut body = vec![1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 5];
        body.extend(format!("{mark:.<16.16}").bytes());
        body.extend(mark.bytes());
        vec![Step::send([&[0x80, u8::try_from(body.len()).unwrap()][..], &body].concat())]
    });
    cases.add(false, "SSL 3", |mark| {
        let mut hello = Hello::new(mark).without(SUPPORTED_VERSIONS).named("listed.test");
        hello.version = 0x0300;
        vec![Step::send(hello.bytes())]
    });
    cases.add(false, "a record of another type before the hello", |mark| {
        let hello = Hello::new(mark).named("listed.test").bytes();
        vec![Step::send([&[0x15, 3, 1, 0, 2, 1, 0][..], &hello].concat())]
    });
    cases.add(false, "another handshake message", |mark| {
        let mut hello = Hello::new(mark).named("listed.test").bytes();
        hello[5] = 2;
        vec![Step::send(hello)]
    });
    cases.add(false, "half a hello, and its name is there", |mark| {
        let hello = Hello::new(mark).named("listed.test").with(PADDING, vec![0; 500]).bytes();
        vec![Step::send(&hello[..hello.len() - 100])]
    });
    cases.add(false, "a hello that takes longer than a second", |mark| {
        let hello = Hello::new(mark).named("listed.test").bytes();
        let (first, second) = hello.split_at(hello.len() - 5);
        vec![Step::send(first), Step::Pause(2_500), Step::send(second)]
    });
    cases.add(false, "a byte every tenth of a second", |mark| {
        in_pieces(&Hello::new(mark).named("listed.test").bytes()[..40], 1, 100)
    });
    // As servers of BoringSSL do, whose bound is the same.
    cases.hello(false, "more than 16 KB, in two records", |hello| {
        hello.with(PADDING, vec![0; 20_000]).named("listed.test")
    });
    cases.add(false, "silence", |_| Vec::new());
    let before = world.rig.records().len();
    let wrong = cases.run(&world);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.0.len(), wrong.join("\n"));
    // One connection went out, that of the control, and one name was asked for.
    std::thread::sleep(Duration::from_millis(500));
    let came = world.rig.since(before);
    let count = came.iter().filter(|record| record.kind == Kind::Tcp).count();
    assert_eq!(count, 1, "{came:?}");
    for record in came.iter().filter(|record| record.kind == Kind::Dns) {
        assert_eq!(record.name.trim_end_matches('.'), "listed.test", "{record:?}");
    }
}
