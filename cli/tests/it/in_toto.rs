//! Links of our agents in a layout, before in-toto-verify.

use std::{fs, path::Path};

use in_toto::{
    crypto::{KeyType, PrivateKey, PublicKey, SignatureScheme},
    models::{
        LayoutMetadataBuilder, Metablock, Metadata as _,
        rule::{Artifact, ArtifactRule},
        step::Step,
    },
};
use notme_testkit::{
    oracle::oracle,
    repository::{Repository, run},
};
use serde_json::Value;

use crate::world::{World, told};

/// A project whose layout asks for the work of one agent and the acceptance of another.
struct Project {
    world: World,
    commit: String,
    links: Vec<String>,
}

impl Project {
    fn new() -> Self {
        Self::of(|world| {
            world.notme_ok(&["attest", "activity", "HEAD", "--output", "one"]);
            Vec::new()
        })
    }

    /// With the statements of the worker, and what says which of them becomes a link.
    fn of(work: impl FnOnce(&World) -> Vec<String>) -> Self {
        let world = World::initialised();
        let commit = world.signed_commit("one");
        let chosen = work(&world);
        world.notme_ok(&["init", "--agent", "reviewer", "--format", "x509"]);
        world.notme_ok(&["attest", "acceptance", "HEAD"]);
        let mut links = Vec::new();
        for (agent, chosen) in [("claude", chosen), ("reviewer", Vec::new())] {
            let mut export = vec![
                "attest",
                "export",
                "--in-toto-link",
                "links",
                "--agent",
                agent,
            ];
            export.extend(chosen.iter().map(String::as_str));
            let written = world.notme_ok(&export);
            links.push(written.trim().to_owned());
        }
        let project = Self {
            world,
            commit,
            links,
        };
        project.lay_out();
        project
    }

    /// Writes the layout, signed by the project's owner.
    fn lay_out(&self) {
        let links = self.world.path().join("links");
        let key_of = |link: &str| -> PublicKey {
            let id = link.split('.').nth(1).unwrap();
            let key = fs::read(links.join(format!("{id}.pub"))).unwrap();
            serde_json::from_slice(&key).unwrap()
        };
        let [worker, reviewer] = [0, 1].map(|at: usize| key_of(&self.links[at]));
        let all = || ArtifactRule::Disallow("*".into());
        let work = Step::new("activity")
            .threshold(1)
            .add_key(worker.key_id().clone())
            .add_expected_product(ArtifactRule::Create(self.commit.as_str().into()))
            .add_expected_product(ArtifactRule::Create("one".into()))
            .add_expected_product(all());
        let acceptance = Step::new("acceptance")
            .threshold(1)
            .add_key(reviewer.key_id().clone())
            .add_expected_material(ArtifactRule::Match {
                pattern: self.commit.as_str().into(),
                in_src: None,
                with: Artifact::Products,
                in_dst: None,
                from: "activity".to_owned(),
            })
            .add_expected_material(all());
        let layout = LayoutMetadataBuilder::new()
            .add_key(worker)
            .add_key(reviewer)
            .steps(vec![work, acceptance])
            .build()
            .unwrap();
        let owner = PrivateKey::new(KeyType::Ed25519).unwrap();
        let owner = PrivateKey::from_pkcs8(&owner, SignatureScheme::Ed25519).unwrap();
        let signed = Metablock::new(Box::new(layout).into_enum(), &[&owner]).unwrap();
        let write = |name: &str, json: Vec<u8>| {
            fs::write(self.world.path().join(name), json).unwrap();
        };
        write("root.layout", serde_json::to_vec(&signed).unwrap());
        write("owner.pub", serde_json::to_vec(owner.public()).unwrap());
    }

    /// Asks in-toto-verify, which runs what a layout asks for where it stands: here, nothing.
    fn verify(&self) -> (Option<i32>, String) {
        let mut command = self.world.command(oracle("in-toto-verify"));
        let output = run(
            command
                .args(["--layout", "root.layout", "--link-dir", "links"])
                .args(["--layout-keys", "owner.pub", "--key-types", "ed25519"]),
            b"",
        );
        (output.status.code(), told(&output))
    }

    fn link(&self, at: usize) -> std::path::PathBuf {
        self.world.path().join("links").join(&self.links[at])
    }

    fn read(&self, at: usize) -> Value {
        serde_json::from_slice(&fs::read(self.link(at)).unwrap()).unwrap()
    }
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn in_toto_verify_accepts_links_of_our_agents() {
    let project = Project::new();
    let (exit, said) = project.verify();
    assert_eq!(exit, Some(0), "{said}");
    // What a link says of a commit is the digest of what git prints.
    let products = &project.read(0)["signed"]["products"];
    let raw = project.world.read_object("commit", &project.commit);
    let digest = notme_core::hex::encode(&notme_core::key::sha256(&raw));
    assert_eq!(products[&project.commit]["sha256"], digest.as_str());
    assert!(products["one"].is_object());
}

/// A dispatch and a handoff bring a record of an activity each.
#[test]
fn of_several_statements_of_one_step_in_toto_verify_accepts_the_chosen_one() {
    let mut digest = String::new();
    let project = Project::of(|world| {
        let dispatched = world.notme_ok(&["attest", "dispatch", "HEAD", "--output", "one"]);
        world.notme_ok(&["attest", "handoff", "HEAD"]);
        let export = |more: &[&str]| {
            let export = ["attest", "export", "--in-toto-link", "links"];
            let output = world.notme(&[&export, more].concat());
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            assert!(!world.path().join("links").exists());
            told(&output)
        };
        let said = export(&[]);
        assert!(said.contains("`--statement DIGEST`"), "{said}");
        let said = export(&["--statement", "sha256:00"]);
        assert!(said.contains("`sha256:00`"), "{said}");
        // The opening record covers no commit.
        let mut lines = dispatched.lines().rev();
        let record = lines.find(|line| line.contains("/activity/"));
        digest = record.unwrap().split(' ').next().unwrap().to_owned();
        vec!["--statement".to_owned(), digest.clone()]
    });
    let (exit, said) = project.verify();
    assert_eq!(exit, Some(0), "{said}");
    let statement = &project.read(0)["signed"]["byproducts"]["statement"];
    assert_eq!(statement, &digest);
}

#[test]
fn in_toto_verify_refuses_tampered_links_and_those_of_others() {
    let project = Project::new();
    let good = [project.read(0), project.read(1)];
    let refuses = |at: usize, link: &Value| {
        write(&project.link(at), link);
        let (exit, said) = project.verify();
        assert_eq!(exit, Some(1), "{said}");
        write(&project.link(at), &good[at]);
    };
    for (member, value) in [
        ("/signed/products/one/sha256", Value::from("00".repeat(32))),
        ("/signed/name", "acceptance".into()),
        ("/signed/byproducts/statement", "sha256:0".into()),
        ("/signatures", Value::Array(Vec::new())),
    ] {
        let mut bad = good[0].clone();
        *bad.pointer_mut(member).unwrap() = value;
        refuses(0, &bad);
    }
    // The worker's own acceptance, under the reviewer's name.
    refuses(1, &good[0]);
    fs::remove_file(project.link(1)).unwrap();
    assert_eq!(project.verify().0, Some(1));
}

#[test]
fn nobody_signs_a_link_for_what_another_stated_or_nobody_accepts() {
    let project = Project::new();
    let world = &project.world;
    let export = |world: &World, more: &[&str]| {
        let output = world.notme(&[&["attest", "export", "--in-toto-link", "more"], more].concat());
        assert!(!world.path().join("more").exists());
        (output.status.code(), told(&output))
    };
    world.notme_ok(&["init", "--agent", "idler", "--format", "x509"]);
    let (exit, said) = export(world, &[]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(
        said.contains("no accepted statement about it is by"),
        "{said}"
    );
    // What says that it failed is no step of the name that a layout asks for.
    world.signed_commit("failed");
    let failed = ["--outcome", "failed", "--termination", "failed"];
    world.notme_ok(&[&["attest", "activity", "HEAD"], &failed[..]].concat());
    world.notme_ok(&["attest", "export", "--in-toto-link", "links"]);
    let links = fs::read_dir(world.path().join("links")).unwrap();
    let names = links.map(|link| link.unwrap().file_name().into_string().unwrap());
    let steps: Vec<_> = names.collect();
    let is_step = |name: &String| name.starts_with("activity-failure.");
    assert!(steps.iter().any(is_step), "{steps:?}");
    // An activity that may go on yet.
    world.signed_commit("two");
    let id = world.notme_ok(&["attest", "activity", "--begin"]);
    world.notme_ok(&["attest", "activity", "HEAD", "--activity", id.trim()]);
    assert_eq!(export(world, &[]).0, Some(1));
    // Keys whose ids in-toto's libraries do not agree on.
    let other = World::of(Repository::new());
    other.notme_ok(&["init", "--profile", "interop"]);
    other.signed_commit("one");
    other.notme_ok(&["attest", "dispatch"]);
    let (exit, said) = export(&other, &[]);
    assert_eq!(exit, Some(3));
    assert!(
        said.contains("links are signed with Ed25519 keys only"),
        "{said}"
    );
}
