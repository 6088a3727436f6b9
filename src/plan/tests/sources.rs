//! What is asked of a source against what it allows.

use super::*;

fn one(more: &str) -> Project {
    Project::new(&format!(
        "steps:\n  a:\n    source: llm\n    function: chat\n    data: {{ x: 1 }}\n{more}"
    ))
}

#[test]
fn a_payment_below_the_minimum_names_both_amounts() {
    let mut project = one("    payment: 0.005 OGPU\n");
    project.facts.min_payment = Wei::parse("0.01 OGPU").unwrap();
    let problems = project.make(&mut NoSink).unwrap_err();
    let problem = &problems[0];
    assert_eq!(problem.code.to_string(), "E0412");
    assert_eq!(problem.marked(), Some("0.005 OGPU"));
    assert_eq!(problem.label.as_deref(), Some("0.005 OGPU < 0.01 OGPU"));
    let help = "source `llm` asks for at least 0.01 OGPU per task (devnet, block 7)";
    assert_eq!(problem.help.as_deref(), Some(help));
    let minimum = Project { text: project.text.replace("0.005 OGPU", "minimum"), ..project };
    assert_eq!(
        minimum.plan().offer(0, &PlanItem::once("a"), &Scope::empty()).unwrap().payment,
        Wei::parse("0.01 OGPU").unwrap()
    );
}

#[test]
fn a_life_above_what_the_source_takes_is_refused_and_one_near_it_lowered() {
    let mut project = one("    payment: 0.01 OGPU\n    expires: 2h\n");
    project.facts.max_expiry = Duration::from_secs(3600);
    let found = project.problems();
    assert_eq!((found[0].0.as_str(), found[0].2.as_str()), ("E0413", "2h"));
    let life = |written: &str, limit: u64| {
        let mut project = one(&format!("    payment: 0.01 OGPU\n{written}"));
        project.facts.max_expiry = Duration::from_secs(limit);
        project.plan().steps()[0].expires.as_secs()
    };
    assert_eq!(life("    expires: 1h\n", 3600), 3570, "30 s of room for the block");
    assert_eq!(life("    expires: 50m\n", 3600), 3000);
    assert_eq!(life("", 86_400), 1800, "30 minutes unless something is written");
    assert_eq!(life("", 600), 570);
    assert_eq!(life("", 40), 20, "a life shorter than the margin still has some");
}

#[test]
fn sources_that_are_missing_inactive_or_without_providers_are_told() {
    let mut project = one("    payment: 0.01 OGPU\n");
    project.facts.registrants = 0;
    assert_eq!(project.problems()[0].0, "W0421");
    project.facts.active = false;
    assert_eq!(
        project.problems(),
        [("E0402".into(), "source `llm` is inactive".into(), "llm".into())]
    );
    let pipeline = project.pipeline();
    let mut sources = project.sources(&pipeline);
    sources.entries[0].facts = None;
    for sources in [sources, Sources::default()] {
        let request = Request {
            pipeline: Arc::clone(&pipeline),
            network: &Network::devnet(),
            sources,
            loader: &project,
            sink: &mut NoSink,
            limit: None,
        };
        let problems = Plan::make(request).unwrap_err();
        assert_eq!(problems[0].code.to_string(), "E0401");
    }
}

#[test]
fn checks_that_come_after_the_payment_are_told_and_so_are_retries_that_buy_again() {
    let accept = "    payment: 0.01 OGPU\n    accept: { when: [output.x > 0] }\n";
    let mut project = one(accept);
    assert_eq!(project.problems(), []);
    project.facts.delivery = Delivery::FirstResponse;
    let codes =
        |project: &Project| project.problems().into_iter().map(|found| found.0).collect::<Vec<_>>();
    assert_eq!(codes(&project), ["W0420"]);
    let mut again = one(&format!("{accept}    retry: {{ max: 1, after: [rejected] }}\n"));
    again.facts.delivery = Delivery::FirstResponse;
    assert_eq!(codes(&again), ["W0420", "W0607"]);
    let mut plain = one("    payment: 0.01 OGPU\n");
    plain.facts.delivery = Delivery::FirstResponse;
    assert_eq!(codes(&plain), [] as [&str; 0]);
}
