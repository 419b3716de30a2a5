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

/// Has all conversations with the firewall, then without it.
fn judge(world: &World, make: impl Fn(&'static str) -> rows::Rows) {
    let rows = make("on");
    let wrong = rows.wrong(world);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.count(), wrong.join("\n"));
    let odd = heads::odd(&world.rig.records());
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    let lost = make("off").lost(world);
    assert!(lost.is_empty(), "these never arrive, whoever is in the way:\n{}", lost.join("\n"));
    println!("{} rows", rows.count());
}
