//! Hosts that are looked into: what clients usually do passes unharmed, and no way of writing a request leads to another
//! host, past a path's rule, or into the middle of somebody else's connection. The judge is what the origin wrote down.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod certificates;
mod fronting;
mod heads;
mod http2;
mod overrides;
mod passes;
mod rows;
mod smuggling;

use clawker_integration::world::World;

/// Names that are looked into, one that is passed on, one in plain HTTP, and an agent that may reach them.
fn world(instance: &str) -> World {
    let world = World::new(instance).unwrap();
    let authority = world.rig.ca_pem_path();
    let paths = format!("path_default: allow, path_rules: [{{path: {}, action: deny}}]", rows::SHUT);
    world
        .sandbox
        .write_project_file(&format!(
            "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    rules:\n      \
             - {{dst: looked.test, {paths}}}\n      \
             - {{dst: looked.http1.test, {paths}}}\n      \
             - {{dst: other.test, inspect: true}}\n      \
             - {{dst: through.test}}\n      \
             - {{dst: .bad-cert.test, inspect: true}}\n      \
             - {{dst: plain.test, proto: http, {paths}}}\n",
            authority.display()
        ))
        .unwrap();
    world.agent("dev").unwrap();
    world
}

/// Its name, and what adds its rows.
type Part = (&'static str, fn(&mut rows::Rows));

/// Has all conversations with the firewall, a part after the other, then without it.
#[test]
fn no_way_of_writing_a_request_leads_past_a_rule_or_to_another_host() {
    let world = world("ways");
    let parts: [Part; 4] = [
        ("fronting", fronting::rows),
        ("http2", http2::rows),
        ("overrides", overrides::rows),
        ("smuggling", smuggling::rows),
    ];
    let make = |prefix: &str, (name, add): &Part| {
        let mut rows = rows::Rows::new(&format!("{prefix}{name}"));
        add(&mut rows);
        rows
    };
    for part in &parts {
        let rows = make("on", part);
        let wrong = rows.wrong(&world);
        assert!(wrong.is_empty(), "{}: {} of {}:\n{}", part.0, wrong.len(), rows.count(), wrong.join("\n"));
        println!("{}: {} rows", part.0, rows.count());
    }
    let odd = heads::odd(&world.rig.records());
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    overrides::came_for_these_paths(&world);
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    for part in &parts {
        let lost = make("off", part).lost(&world);
        assert!(lost.is_empty(), "these never arrive, whoever is in the way:\n{}", lost.join("\n"));
    }
}

#[test]
fn what_clients_usually_do_passes_and_bad_certificates_do_not() {
    let world = world("passes");
    passes::clients(&world);
    passes::sockets(&world);
    overrides::log_names_the_agent(&world);
    certificates::judged(&world);
}
