//! From what a bypass let through to rules that suffice: learnt, accepted, and it works with the firewall on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use clawker_integration::world::World;

#[test]
fn what_a_bypass_let_through_works_afterwards_with_the_firewall_on() {
    let world = World::new("learn").unwrap();
    world.agent("dev").unwrap();
    let settings = world.sandbox.settings_file();
    let text = std::fs::read_to_string(&settings).unwrap();
    let deny = "  rules: [{dst: never.example, action: deny}]\n";
    std::fs::write(&settings, format!("{text}{deny}")).unwrap();
    world.must(&["firewall", "reload", "--yes"]).unwrap();
    // A program that is older than the bypass, and so asks whom it always asked.
    let resolver = world.sh("dev", "sed -n 's/^nameserver //p' /etc/resolv.conf").unwrap().out;
    let older = |name: &str| {
        let address = world.probe("dev", &["dns", &resolver, name]).unwrap().out;
        world
            .sh("dev", &format!("curl -sS --max-time 5 --resolve {name}:443:{address} https://{name}/"))
            .unwrap()
    };
    let fetch = |name: &str| world.sh("dev", &format!("curl -sS --max-time 5 https://{name}/")).unwrap();
    let ssh = |host: &str| {
        let banner = format!("exec 3<> /dev/tcp/{host}/22 && read -t 5 -r banner <&3 && echo $banner");
        world.sh("dev", &format!("bash -c '{banner}'")).unwrap()
    };
    // Refused: of a name that does not exist no port is known.
    assert_ne!(fetch("refused.example").code, 0);
    world.must(&["firewall", "bypass", "10m", "--agent", "dev", "--detach"]).unwrap();
    // Without a question there is no name.
    let nameless = world.sh("dev", "curl -sSk --max-time 5 https://198.51.100.144/").unwrap();
    assert!(nameless.out.contains("host: "), "{nameless:?}");
    // A new program asks Docker's resolver, whose questions pass by init.
    assert!(fetch("new.example").out.contains("host: "));
    assert!(older("a.site.example").out.contains("host: a.site.example"), "positive control");
    assert!(older("b.site.example").out.contains("host: "));
    let git = world.probe("dev", &["dns", &resolver, "git.example"]).unwrap().out;
    assert!(ssh(&git).out.contains("SSH-2.0"));
    older("never.example");
    world.must(&["firewall", "bypass", "--stop", "--agent", "dev"]).unwrap();
    assert_ne!(fetch("a.site.example").code, 0, "negative control");

    let shown = world.clawker(&["firewall", "learn", "--since", "10m"]).unwrap();
    assert_eq!(shown.code, 1, "nobody was asked: {shown:?}");
    for command in [
        "clawker firewall add a.site.example\n",
        "clawker firewall add new.example\n",
        "clawker firewall add b.site.example\n",
        "clawker firewall add git.example --proto ssh\n",
        "clawker firewall add refused.example\n",
    ] {
        assert!(shown.err.contains(command), "{command}: {}", shown.err);
    }
    assert!(shown.err.contains("is assumed") && shown.err.contains("--yes"), "{}", shown.err);
    assert!(shown.err.contains("Left out: never.example"), "{}", shown.err);
    assert!(shown.err.contains("its name is not known"), "{}", shown.err);
    assert!(!shown.err.contains(" .site.example") && !shown.err.contains("add never"), "{}", shown.err);
    assert_ne!(fetch("a.site.example").code, 0, "it was only shown");

    let json = world.must(&["--json", "firewall", "learn", "--since", "10m", "--yes"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["added"], true, "{json}");
    for name in ["a.site.example", "b.site.example", "refused.example"] {
        assert!(fetch(name).out.contains(&format!("host: {name}")), "{name}");
    }
    assert!(ssh("git.example").out.contains("SSH-2.0"));
    assert_ne!(fetch("c.site.example").code, 0, "two names were made a wildcard");
    let again = world.must(&["--json", "firewall", "learn", "--since", "10m", "--yes"]).unwrap();
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    let left: Vec<_> = again["proposals"].as_array().unwrap().iter().map(|one| one["dst"].clone()).collect();
    assert_eq!(left, ["c.site.example"], "{again}");

    // A window that is waited for sums up what it let through.
    std::thread::scope(|scope| {
        let bypass =
            scope.spawn(|| world.must(&["--json", "firewall", "bypass", "5s", "--agent", "dev"]).unwrap());
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert!(fetch("late.example").out.contains("host: "));
        let said: serde_json::Value = serde_json::from_str(&bypass.join().unwrap()).unwrap();
        let sufficient = said["sufficient"].as_array().unwrap();
        assert!(sufficient.iter().any(|one| one["command"] == "clawker firewall add late.example"), "{said}");
    });
}
