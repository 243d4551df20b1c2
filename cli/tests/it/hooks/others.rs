//! Beside those who manage hooks: husky, lefthook and pre-commit themselves, as npm and PyPI have
//! them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use notme_testkit::{oracle::programs_of_strangers, repository::run};

use super::{everything, executable};
use crate::world::{World, told};

/// A user with one of them, who finds its program as a person would.
fn with_programs() -> World {
    let mut world = World::initialised();
    let before = env::var_os("PATH").unwrap_or_default();
    let path = programs_of_strangers();
    let path = env::join_paths(path.into_iter().chain(env::split_paths(&before))).unwrap();
    world.set_env("PATH", path);
    world
}

fn ask(world: &World, program: &str, arguments: &[&str]) {
    let [npm, pip] = programs_of_strangers();
    let path = [npm, pip].map(|directory| directory.join(program));
    let path: PathBuf = path.into_iter().find(|path| path.exists()).unwrap();
    let output = run(world.command(path).args(arguments), b"");
    assert!(output.status.success(), "{program}: {}", told(&output));
}

/// Has ours installed beside theirs: both run, and theirs are as they were when ours go.
fn stands_beside(world: &World, hooks: &Path) {
    let _bare = world.remote();
    let config = world.path().join(".git/config");
    let before = (everything(hooks), fs::read(&config).unwrap());
    world.notme_ok(&["hooks", "install"]);
    let ran = || fs::read_to_string(world.path().join("ran")).unwrap_or_default();
    let signed = world.signed_commit("one");
    assert_eq!(ran(), "theirs\n");
    assert_eq!(world.code(&signed, &[]), "accepted");
    world.git_ok(&["push", "-q", "origin", "main"]);
    // Ours say no, after theirs had their say.
    world.write("two", "x");
    world.git_ok(&["add", "two"]);
    world.git_ok(&["commit", "-q", "--no-gpg-sign", "-m", "two"]);
    assert_eq!(ran(), "theirs\ntheirs\n");
    let output = world.git(&["push", "origin", "main"]);
    assert!(!output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("unsigned"), "{}", told(&output));

    world.notme_ok(&["hooks", "uninstall"]);
    assert_eq!((everything(hooks), fs::read(&config).unwrap()), before);
    world.signed_commit("three");
    assert_eq!(ran(), "theirs\ntheirs\ntheirs\n");
}

#[test]
fn stands_beside_husky() {
    let world = with_programs();
    ask(&world, "husky", &[]);
    let husky = world.path().join(".husky");
    executable(&husky.join("pre-commit"), "echo theirs >>ran\n");
    stands_beside(&world, &husky);
}

#[test]
fn stands_beside_lefthook() {
    let world = with_programs();
    let settings = "pre-commit:\n  commands:\n    it:\n      run: echo theirs >>ran\n";
    world.write("lefthook.yml", settings);
    ask(&world, "lefthook", &["install"]);
    stands_beside(&world, &world.path().join(".git/hooks"));
}

#[test]
fn stands_beside_pre_commit() {
    let world = with_programs();
    let settings = "repos:\n- repo: local\n  hooks:\n  - id: it\n    name: it\n    \
        entry: sh -c 'echo theirs >>ran'\n    language: system\n    always_run: true\n    \
        pass_filenames: false\n";
    world.write(".pre-commit-config.yaml", settings);
    world.git_ok(&["add", ".pre-commit-config.yaml"]);
    ask(&world, "pre-commit", &["install"]);
    stands_beside(&world, &world.path().join(".git/hooks"));
}
