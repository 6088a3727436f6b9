use super::*;
use clap::Parser;

/// A project in a temporary folder, with a home of its own.
struct Scene {
    root: tempfile::TempDir,
}

impl Scene {
    fn new(project: &str, user: &str, env_file: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !text.is_empty() {
                fs::write(path, text).unwrap();
            }
        };
        write("home/.config/ogflow/config.toml", user);
        write("home/p/ogflow.toml", project);
        write("home/p/.env", env_file);
        Self { root }
    }

    fn resolve(&self, flags: &[&str], vars: &[(&str, &str)]) -> Result<Settings, Failure> {
        let home = self.root.path().join("home");
        let line = [&["ogflow"], flags, &["status"]].concat();
        let args = super::super::args::Args::try_parse_from(line).unwrap();
        let own = [("HOME", home.to_str().unwrap())];
        let env = own
            .iter()
            .chain(vars)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::resolve(&args.global, env, &home.join("p"))
    }
}

fn coins(text: &str) -> Wei {
    Wei::parse(text).unwrap()
}

#[test]
fn with_nothing_said_it_is_the_devnet() {
    let settings = Scene::new("", "", "").resolve(&[], &[]).unwrap();
    assert_eq!(settings.network.value, Network::devnet());
    assert_eq!(settings.network.origin, Origin::Default);
    assert_eq!(settings.max_spend, None);
    assert_eq!(settings.confirm_above, coins("50 OGPU"));
    assert!(matches!(settings.signer(), Ok(SignerChoice::Devnet)));
}

#[test]
fn a_higher_layer_beats_a_lower_one() {
    let place = Scene::new("network = \"testnet\"", "network = \"mainnet\"", "");
    let name = |flags: &[&str], vars: &[(&str, &str)]| {
        let settings = place.resolve(flags, vars).unwrap();
        (settings.network.value.name, settings.network.origin.to_string())
    };
    assert_eq!(name(&[], &[]).0, "testnet");
    assert_eq!(name(&["--no-config"], &[]).0, "devnet");
    let var = [("OGFLOW_NETWORK", "mainnet")];
    assert_eq!(name(&[], &var), ("mainnet".into(), "OGFLOW_NETWORK".into()));
    assert_eq!(name(&["--network", "devnet"], &var), ("devnet".into(), "--network".into()));
    let place = Scene::new("", "network = \"mainnet\"", "");
    assert_eq!(place.resolve(&[], &[]).unwrap().network.value.name, "mainnet");
}

#[test]
fn the_env_file_stands_between_the_environment_and_the_project() {
    let place = Scene::new("network = \"mainnet\"", "", "OGFLOW_NETWORK=testnet\n");
    let settings = place.resolve(&[], &[]).unwrap();
    assert_eq!(settings.network.origin, Origin::EnvFile("OGFLOW_NETWORK"));
    let real = place.resolve(&[], &[("OGFLOW_NETWORK", "devnet")]).unwrap();
    assert_eq!(real.network.value.name, "devnet");
    let without = place.resolve(&["--no-env-file"], &[]).unwrap();
    assert_eq!(without.network.value.name, "mainnet");
}

#[test]
fn the_env_file_of_the_home_folder_is_never_read() {
    let place = Scene::new("", "", "");
    let home = place.root.path().join("home");
    fs::write(home.join(".env"), "OGFLOW_NETWORK=mainnet\n").unwrap();
    let args = super::super::args::Args::try_parse_from(["ogflow", "status"]).unwrap();
    let env = [("HOME".to_owned(), home.display().to_string())].into_iter().collect();
    let settings = Settings::resolve(&args.global, env, &home).unwrap();
    assert_eq!(settings.network.value.name, "devnet");
}

#[test]
fn a_project_may_lower_what_is_spent_and_never_raise_it() {
    let spend = |project: &str, user: &str, env_file: &str, vars: &[(&str, &str)]| {
        let place = Scene::new(project, user, env_file);
        place.resolve(&[], vars).unwrap().max_spend.map(|it| it.value)
    };
    let (ten, two) = ("max_spend = \"10 OGPU\"", "max_spend = \"2 OGPU\"");
    assert_eq!(spend(ten, two, "", &[]), Some(coins("2 OGPU")));
    assert_eq!(spend(two, ten, "", &[]), Some(coins("2 OGPU")));
    assert_eq!(spend(two, "", "", &[]), Some(coins("2 OGPU")));
    assert_eq!(spend("", two, "OGFLOW_MAX_SPEND=10 OGPU", &[]), Some(coins("2 OGPU")));
    assert_eq!(spend("", two, "", &[("OGFLOW_MAX_SPEND", "10 OGPU")]), Some(coins("10 OGPU")));
    let place = Scene::new("confirm_above = \"90 OGPU\"", "", "");
    assert_eq!(place.resolve(&[], &[]).unwrap().confirm_above, coins("50 OGPU"));
}

#[test]
fn a_project_may_not_pick_the_key() {
    let error = Scene::new("account = \"alice\"", "", "").resolve(&[], &[]).unwrap_err();
    assert_eq!(error.exit, Exit::Invalid);
    let error = Scene::new("", "", "OGFLOW_ACCOUNT=alice").resolve(&[], &[]).unwrap_err();
    assert_eq!(error.exit, Exit::Invalid);
}

#[test]
fn a_project_that_bends_a_network_with_real_money_is_named_until_trusted() {
    let place = Scene::new("[networks.mainnet]\nrpc = [\"https://evil.example\"]", "", "");
    let settings = place.resolve(&["--network", "mainnet"], &[]).unwrap();
    assert_eq!(settings.bent, ["rpc"]);
    let data = settings.folders.data.clone().unwrap();
    trust::trust(&data, &settings.project, &settings.network.value).unwrap();
    assert!(place.resolve(&["--network", "mainnet"], &[]).unwrap().bent.is_empty());
    assert_eq!(
        Scene::new("", "", "OGFLOW_RPC_URL=https://evil.example")
            .resolve(&["--network", "mainnet"], &[])
            .unwrap()
            .bent,
        ["rpc"]
    );
    let own = [("OGFLOW_RPC_URL", "https://mine.example")];
    let place = Scene::new("", "", "");
    assert!(place.resolve(&["--network", "mainnet"], &own).unwrap().bent.is_empty());
}

#[test]
fn words_that_are_none_of_the_few_are_refused() {
    for vars in [
        [("OGFLOW_COLOR", "rainbow")],
        [("OGFLOW_PROGRESS", "loud")],
        [("OGFLOW_ACCESSIBLE", "maybe")],
        [("OGFLOW_MAX_SPEND", "10")],
        [("OGFLOW_NETWORK", "moonnet")],
    ] {
        let error = Scene::new("", "", "").resolve(&[], &vars).unwrap_err();
        assert_eq!(error.exit, Exit::Invalid, "{vars:?}");
        assert!(error.help.is_some() || !error.because.is_empty() || vars[0].1 == "maybe");
    }
}

#[test]
fn the_lowest_of_all_limits_holds() {
    let place = Scene::new(
        "[limits]\nin_flight = 100\nburst = 2",
        "[limits]\nin_flight = 10\npublish_rate = \"5/s\"",
        "",
    );
    let limits = place.resolve(&[], &[]).unwrap().limits;
    assert_eq!((limits.in_flight, limits.burst), (Some(10), Some(2)));
    assert!(limits.publish_rate.is_some());
}

#[test]
fn the_limits_of_settings_are_ceilings_on_those_of_a_pipeline() {
    let rate = |text| crate::units::time::Rate::parse(text).ok();
    let ceilings = "[limits]\npin_rate = \"5/s\"\nin_flight = 10\n";
    let settings = Scene::new(ceilings, "[limits]\npin_rate = \"2/s\"\n", "").resolve(&[], &[]);
    let own = crate::pipeline::Limits {
        pin_rate: rate("3/s"),
        rpc_rate: rate("7/s"),
        ..crate::pipeline::Limits::default()
    };
    let lowered = settings.unwrap().limits.lower(own);
    assert_eq!((lowered.pin_rate, lowered.rpc_rate), (rate("2/s"), rate("7/s")));
    assert_eq!((lowered.in_flight.get(), lowered.burst.get()), (10, 1));
}
