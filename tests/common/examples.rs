//! Examples as a stranger runs them: as programs.

use std::path::PathBuf;
use std::process::Command;

/// The program of an example, made by the cargo that runs this test, in the place and the profile of this test: it is
/// there already when all tests are run, and then this only makes sure that it is not an old one.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let [_, _, profile_dir, target_dir] = test.ancestors().take(4).collect::<Vec<_>>()[..] else {
        panic!("not where cargo puts tests: {}", test.display());
    };
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", name, "--profile", profile, "--target-dir"])
        .arg(target_dir)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    let path = profile_dir.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(built.is_ok_and(|status| status.success()), "cargo cannot build {}", path.display());
    path
}
