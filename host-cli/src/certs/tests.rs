use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::Duration;

use super::*;

/// A state folder that goes away again.
struct State(Paths);

impl State {
    fn new(name: &str) -> Self {
        let state = std::env::temp_dir().join(format!("clawker-certs-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&state);
        std::fs::create_dir_all(&state).unwrap();
        Self(Paths { state: state.clone(), config: state.clone(), cache: state, instance: None })
    }

    fn lock(&self) -> StateLock {
        StateLock::acquire(&self.0).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.certs_dir().join(name)
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.file(name)).unwrap().permissions().mode() & 0o777
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0.state);
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn der(pem: &str) -> CertificateDer<'static> {
    pem::parse(pem).unwrap().into_contents().into()
}

/// What rustls says of a leaf, for a name, at a time from now.
fn webpki_accepts(ca: &str, leaf: &str, name: &str, later: Duration) -> bool {
    let (ca, leaf) = (der(ca), der(leaf));
    let anchors = [webpki::anchor_from_trusted_cert(&ca).unwrap()];
    let certificate = webpki::EndEntityCert::try_from(&leaf).unwrap();
    let at = (OffsetDateTime::now_utc() + later).unix_timestamp();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.try_into().unwrap()));
    let usage = webpki::KeyUsage::server_auth();
    let path =
        certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], at, usage, None, None);
    path.is_ok() && certificate.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap()).is_ok()
}

/// What OpenSSL says of it, as strict as it can be.
fn openssl_accepts(state: &State, ca: &str, leaf: &str, name: &str) -> bool {
    let (ca_file, leaf_file) = (state.file("test-ca"), state.file("test-leaf"));
    std::fs::write(&ca_file, ca).unwrap();
    std::fs::write(&leaf_file, leaf).unwrap();
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", "-CAfile"]);
    command.arg(ca_file).args(["-verify_hostname", name]).arg(leaf_file);
    let output = command.output().unwrap();
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

#[test]
fn a_leaf_is_accepted_for_its_names_and_for_no_other() {
    let state = State::new("names");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    let leaf = ca.leaf(&state.0, &state.lock(), "p", &names(&["a.example", "*.b.example"])).unwrap();
    for (name, accepted) in [
        ("a.example", true),
        ("x.b.example", true),
        ("b.example", false),
        ("x.y.b.example", false),
        ("x.a.example", false),
        ("c.example", false),
    ] {
        assert_eq!(webpki_accepts(ca.pem(), &leaf.chain_pem, name, Duration::ZERO), accepted, "{name}");
        assert_eq!(openssl_accepts(&state, ca.pem(), &leaf.chain_pem, name), accepted, "{name}");
    }
    let later = Duration::days(issue::LEAF_DAYS + 1);
    assert!(!webpki_accepts(ca.pem(), &leaf.chain_pem, "a.example", later), "it ends");
}

#[test]
fn two_hundred_names_fit_in_one_leaf() {
    let state = State::new("many");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    let many: BTreeSet<String> = (0..200).map(|n| format!("host-{n}.some.longer.name.example")).collect();
    let leaf = ca.leaf(&state.0, &state.lock(), "p", &many).unwrap();
    for name in many.iter().take(1).chain(many.iter().last()) {
        assert!(webpki_accepts(ca.pem(), &leaf.chain_pem, name, Duration::ZERO));
        assert!(openssl_accepts(&state, ca.pem(), &leaf.chain_pem, name));
    }
}

#[test]
fn nobody_else_can_read_a_key() {
    let state = State::new("modes");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    ca.leaf(&state.0, &state.lock(), "p", &names(&["a.example"])).unwrap();
    let modes = ["", "ca.key", "ca.pem", "leaves", "leaves/p.pem"].map(|name| state.mode(name));
    assert_eq!(modes, [0o700, 0o600, 0o644, 0o700, 0o600]);
    let public = std::fs::read_to_string(state.file("ca.pem")).unwrap();
    assert_eq!(public, ca.pem());
    assert!(!public.contains("KEY"));
    assert!(!format!("{ca:?}").contains("KEY"));
    std::fs::set_permissions(state.file("ca.key"), PermissionsExt::from_mode(0o644)).unwrap();
    Authority::load_or_make(&state.0, &state.lock()).unwrap();
    assert_eq!(state.mode("ca.key"), 0o600);
}

#[test]
fn the_same_names_keep_their_leaf_and_others_get_a_new_one() {
    let state = State::new("store");
    let lock = state.lock();
    let made = Authority::load_or_make(&state.0, &lock).unwrap();
    let loaded = Authority::load_or_make(&state.0, &lock).unwrap();
    assert_eq!(made.fingerprint(), loaded.fingerprint());
    let one = names(&["a.example"]);
    let first = made.leaf(&state.0, &lock, "p", &one).unwrap();
    assert_eq!(loaded.leaf(&state.0, &lock, "p", &one).unwrap(), first);
    assert!(webpki_accepts(made.pem(), &first.chain_pem, "a.example", Duration::ZERO));
    let more = loaded.leaf(&state.0, &lock, "p", &names(&["a.example", "b.example"])).unwrap();
    assert_ne!(more, first);
    // From an authority that was read back, it verifies as well: same subject, same key identifier.
    assert!(openssl_accepts(&state, made.pem(), &more.chain_pem, "b.example"));
    assert_ne!(loaded.leaf(&state.0, &lock, "p", &one).unwrap(), more);
}

#[test]
fn a_leaf_that_ends_soon_or_was_damaged_is_issued_anew() {
    let state = State::new("age");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    let one = names(&["a.example"]);
    let now = OffsetDateTime::now_utc();
    let at = |days| leaf::stored_or_new(&ca, &state.0, "p", &one, now + Duration::days(days)).unwrap();
    let first = at(0);
    assert_eq!(at(190), first);
    let second = at(200);
    assert_ne!(second, first);
    assert_ne!(at(-2), second, "one that has not begun");
    let file = state.file("leaves/p.pem");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert!(webpki_accepts(ca.pem(), &at(0).chain_pem, "a.example", Duration::ZERO));
}

#[test]
fn near_the_authoritys_own_end_a_leaf_is_not_issued_at_every_reload() {
    let state = State::new("end");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    let near = ca.not_after() - Duration::days(100);
    let one = names(&["a.example"]);
    let issue = || leaf::stored_or_new(&ca, &state.0, "p", &one, near).unwrap();
    assert_eq!(issue(), issue());
}

#[test]
fn after_a_rotation_no_old_leaf_is_handed_out_and_none_is_trusted() {
    let state = State::new("rotate");
    let lock = state.lock();
    let old = Authority::load_or_make(&state.0, &lock).unwrap();
    let one = names(&["a.example"]);
    let old_leaf = old.leaf(&state.0, &lock, "p", &one).unwrap();
    let kept = std::fs::read(state.file("leaves/p.pem")).unwrap();
    let new = Authority::rotate(&state.0, &lock).unwrap();
    assert_ne!(old.pem(), new.pem());
    assert!(!webpki_accepts(new.pem(), &old_leaf.chain_pem, "a.example", Duration::ZERO));
    // Also where the old file is found again.
    std::fs::create_dir_all(state.file("leaves")).unwrap();
    std::fs::write(state.file("leaves/p.pem"), kept).unwrap();
    let leaf = new.leaf(&state.0, &lock, "p", &one).unwrap();
    assert_ne!(leaf, old_leaf);
    assert!(openssl_accepts(&state, new.pem(), &leaf.chain_pem, "a.example"));
    assert_eq!(Authority::load_or_make(&state.0, &lock).unwrap().fingerprint(), new.fingerprint());
}

#[test]
fn a_broken_authority_is_named_and_never_replaced_unasked() {
    let state = State::new("broken");
    let lock = state.lock();
    Authority::load_or_make(&state.0, &lock).unwrap();
    let key = state.file("ca.key");
    let whole = std::fs::read_to_string(&key).unwrap();
    let other = State::new("broken-other");
    Authority::load_or_make(&other.0, &other.lock()).unwrap();
    let foreign = std::fs::read_to_string(other.file("ca.key")).unwrap();
    let certificate_at = whole.find("-----BEGIN CERTIFICATE").unwrap();
    let mixed = format!("{}{}", &foreign[..certificate_at], &whole[certificate_at..]);
    for broken in ["", "junk", &whole[..certificate_at], &whole[certificate_at..], &mixed] {
        std::fs::write(&key, broken).unwrap();
        let error = Authority::load_or_make(&state.0, &lock).unwrap_err().to_string();
        assert!(error.contains("ca.key") && error.contains("clawker firewall rotate-ca"), "{error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(Authority::load_or_make(&state.0, &lock), Err(CertsError::Broken(..))));
    // A certificate that lags behind (killed between the two writes) is put right.
    std::fs::write(&key, &whole).unwrap();
    std::fs::remove_file(state.file("ca.pem")).unwrap();
    let ca = Authority::load_or_make(&state.0, &lock).unwrap();
    assert_eq!(std::fs::read_to_string(state.file("ca.pem")).unwrap(), ca.pem());
    assert!(files::parse(&whole, ca.not_after() + Duration::SECOND).is_err(), "expired");
}

#[test]
fn what_is_no_host_or_no_file_name_gets_no_leaf() {
    let state = State::new("bad");
    let ca = Authority::load_or_make(&state.0, &state.lock()).unwrap();
    let long = format!("{}.example", "a".repeat(64));
    for name in ["", "*", "*.*.example", "a..example", "A.example", "a b", "a\n.example", "x*.example", &long]
    {
        let leaf = ca.leaf(&state.0, &state.lock(), "p", &names(&[name]));
        assert!(matches!(leaf, Err(CertsError::Name(_))), "{name:?}");
    }
    assert!(matches!(ca.leaf(&state.0, &state.lock(), "p", &names(&[])), Err(CertsError::NoNames)));
    for key in ["", ".", "../ca", "a/b", "a\0"] {
        let leaf = ca.leaf(&state.0, &state.lock(), key, &names(&["a.example"]));
        assert!(matches!(leaf, Err(CertsError::Key(_))), "{key:?}");
    }
}

#[test]
fn many_at_once_agree_on_one_authority_and_one_leaf() {
    let state = State::new("at-once");
    let results: Vec<(String, Leaf)> = std::thread::scope(|scope| {
        let work = || {
            let lock = state.lock();
            let ca = Authority::load_or_make(&state.0, &lock).unwrap();
            let leaf = ca.leaf(&state.0, &lock, "p", &names(&["a.example"])).unwrap();
            (ca.fingerprint(), leaf)
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn leaves_of_keys_that_are_gone_are_forgotten() {
    let state = State::new("forget");
    let lock = state.lock();
    let ca = Authority::load_or_make(&state.0, &lock).unwrap();
    ca.keep_leaves(&state.0, &lock, &names(&[])).unwrap();
    for key in ["p.1", "q"] {
        ca.leaf(&state.0, &lock, key, &names(&["a.example"])).unwrap();
    }
    ca.keep_leaves(&state.0, &lock, &names(&["p.1"])).unwrap();
    assert!(state.file("leaves/p.1.pem").exists() && !state.file("leaves/q.pem").exists());
}

#[test]
fn the_public_roots_are_whole() {
    let roots = pem::parse_many(public_roots()).unwrap();
    assert!(roots.len() > 100);
    let anchors = roots
        .iter()
        .filter(|root| webpki::anchor_from_trusted_cert(&CertificateDer::from(root.contents())).is_ok());
    assert_eq!(anchors.count(), roots.len());
}
