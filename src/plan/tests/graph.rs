//! Which step waits for which.

use super::*;

fn edges(steps: &str) -> Vec<String> {
    let plan = Project::new(steps).plan();
    let schedule = plan.schedule();
    let mut shown = Vec::new();
    for rule in &schedule.steps {
        for edge in &rule.upstreams {
            let from = &schedule.steps[usize::from(edge.step)].name;
            shown.push(format!("{from} -> {} {:?}", rule.name, edge.kind));
        }
    }
    shown
}

/// Steps `a` to `c`, with these lines in `b` and `c`.
fn three(b: &str, c: &str) -> String {
    let step = |name: &str, more: &str| {
        format!("  {name}:\n    source: llm\n    function: chat\n    payment: 0.01 OGPU\n{more}")
    };
    let data = "    data: { x: 1 }\n";
    format!(
        "steps:\n{}{}{}",
        step("c", c),
        step("b", b),
        step("a", &format!("    foreach: [1, 2]\n{data}"))
    )
}

#[test]
fn results_one_by_one_stream_and_everything_else_waits_for_the_whole() {
    let b = "    foreach: steps.a.results\n    data: { x: '{{ item.key }}' }\n";
    let c = "    data: { x: '{{ steps.b.outputs }}' }\n";
    assert_eq!(edges(&three(b, c)), ["a -> b PerItem", "b -> c Whole"]);
    for whole in [
        "    foreach: steps.a.results\n    max_items: 5\n    data: { x: 1 }\n",
        "    foreach: steps.a.results\n    data: { x: '{{ steps.a.count }}' }\n",
        "    foreach: steps.a.results | list\n    max_items: 9\n    data: { x: 1 }\n",
        "    foreach: steps.a.results\n    needs: [a]\n    data: { x: 1 }\n",
        "    foreach: steps.a.failed\n    data: { x: 1 }\n",
        "    needs: [a]\n    data: { x: 1 }\n",
        "    if: steps.a.count > 0\n    data: { x: 1 }\n",
    ] {
        assert_eq!(edges(&three(whole, c)), ["a -> b Whole", "b -> c Whole"], "{whole}");
    }
    let outputs = "    foreach: steps.a.outputs\n    data: { x: '{{ item }}' }\n";
    assert_eq!(edges(&three(outputs, c))[0], "a -> b PerItem");
}

#[test]
fn a_step_that_fails_as_a_whole_does_not_stream() {
    let steps = three("    foreach: steps.a.results\n    data: { x: 1 }\n", "    data: { x: 1 }\n");
    let steps =
        steps.replace("    foreach: [1, 2]\n", "    foreach: [1, 2]\n    on_partial: fail\n");
    assert_eq!(edges(&steps), ["a -> b Whole"]);
}

#[test]
fn steps_come_after_what_they_read_and_else_in_the_order_of_writing() {
    let plan =
        Project::new(&three("    needs: [a]\n    data: { x: 1 }\n", "    data: { x: 1 }\n")).plan();
    let names: Vec<_> = plan.schedule().steps.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
    assert_eq!(plan.steps()[1].written_at, 2);
    assert_eq!(plan.place(&StepName::parse("b").unwrap()), Some(2));
}

#[test]
fn a_circle_is_shown_whole() {
    let pipeline = Project::new(&three("    data: { x: 1 }\n", "    data: { x: 1 }\n")).pipeline();
    let mut steps = pipeline.steps.clone();
    let name = |at: usize| pipeline.steps[at].name.clone();
    steps[0].needs = vec![name(1)];
    steps[1].needs = vec![name(2)];
    steps[2].needs = vec![name(1)];
    let circle = super::super::graph::Graph::of(&steps).unwrap_err();
    assert_eq!(circle.0, [name(1), name(2)], "step c only leads into it");
    steps[2].needs = vec![name(2)];
    assert_eq!(super::super::graph::Graph::of(&steps).unwrap_err().0, [name(2)]);
}

proptest::proptest! {
    /// Every step comes after all that it waits for, whatever the graph without circles.
    #[test]
    fn no_step_starts_before_what_it_reads(needs in proptest::collection::vec(0_u64.., 1..12)) {
        let base = Project::new(&three("    data: { x: 1 }\n", "    data: { x: 1 }\n")).pipeline();
        let mut steps = Vec::new();
        for (at, bits) in needs.iter().enumerate() {
            let mut step = base.steps[0].clone();
            step.name = StepName::parse(&format!("s{at}")).unwrap();
            step.needs = (0..at).filter(|other| bits >> other & 1 == 1)
                .map(|other| StepName::parse(&format!("s{other}")).unwrap()).collect();
            steps.push(step);
        }
        steps.reverse();
        let graph = super::super::graph::Graph::of(&steps).unwrap();
        for (at, edges) in graph.upstreams.iter().enumerate() {
            proptest::prop_assert!(edges.iter().all(|edge| usize::from(edge.step) < at));
            proptest::prop_assert_eq!(edges.len(), steps[graph.order[at]].needs.len());
        }
        let over = graph.over_before();
        for (at, edges) in graph.upstreams.iter().enumerate() {
            proptest::prop_assert!(edges.iter().all(|edge| over[at][usize::from(edge.step)]));
        }
    }
}
