//! Who answers for a name that is looked into: the gateway takes no certificate that a client would refuse, and says
//! which fault it has.

use clawker_integration::fakenet::record::Kind;

use clawker_integration::world::World;

/// `CURLE_PEER_FAILED_VERIFICATION`.
const CURL_REFUSES: i32 = 60;

/// A bad certificate is refused and named, and a good one is taken.
pub fn judged(world: &World) {
    let fetch = |name: &str| {
        let script = format!("curl -sS --max-time 10 -w '\\n%{{http_code}}' https://{name}/secret-of-{name}");
        world.sh("dev", &script).unwrap()
    };
    let good = fetch("good.bad-cert.test");
    assert!(good.out.ends_with("\n200") && good.out.contains("host: good.bad-cert.test"), "{good:?}");
    let mut reasons = Vec::new();
    for (name, fault) in [
        ("wrong.bad-cert.test", "SAN"),
        ("expired.bad-cert.test", "expired"),
        ("foreign.bad-cert.test", "unable to get local issuer"),
        ("alone.bad-cert.test", "self signed"),
    ] {
        let said = fetch(name);
        let (body, status) = said.out.rsplit_once('\n').unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let reason = body["reason"].as_str().unwrap_or_default().replace('_', " ");
        println!("{name}: {reason}");
        if status != "503" || !reason.to_lowercase().contains(&fault.to_lowercase()) {
            reasons.push(format!("{name}: {said:?}"));
        }
    }
    assert!(reasons.is_empty(), "{}", reasons.join("\n"));
    // No request was told to who showed it.
    let came = world.rig.records();
    let asked = |name: &str| came.iter().any(|record| record.kind == Kind::Http && record.name == name);
    assert!(asked("good.bad-cert.test"));
    for name in ["wrong", "expired", "foreign", "alone"] {
        assert!(!asked(&format!("{name}.bad-cert.test")), "{name}");
    }
    assert!(world.rig.saw("secret-of-wrong").is_empty() && !world.rig.saw("secret-of-good").is_empty());
    // A name that is passed on shows its own certificate, which the client itself refuses.
    world.must(&["firewall", "add", "expired.bad-cert.test"]).unwrap();
    let said = fetch("expired.bad-cert.test");
    assert!(
        said.code == CURL_REFUSES && said.err.contains("expired") && said.out.ends_with("000"),
        "{said:?}"
    );
}
