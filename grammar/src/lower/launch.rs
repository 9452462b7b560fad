//! Launch configurations: what a new server is.

use crate::diagnostic::Diagnostic;
use crate::limits::BALANCERS_MAX;
use crate::lower::scope::{Body, Scope};
use crate::lower::value::string;
use crate::policy::{Balancer, Launch, Volume};
use crate::syntax::{Node, Rule};

/// `launch web_v7 { … }`, every one of the file.
pub(super) fn launches<'a>(scope: &mut Scope<'a>, body: &Body<'_, 'a>) -> Vec<Launch> {
    scope.unique(
        "launch configuration",
        body.all(Rule::launch_block).filter_map(|(_, node)| node.head().one(Rule::name)),
    );
    body.all(Rule::launch_block).map(|(_, node)| launch(scope, node)).collect()
}

fn launch(scope: &mut Scope<'_>, node: &Node<'_>) -> Launch {
    let (body, head) = (Body::of(node), node.head());
    let image = body.required(scope, Rule::image_stmt, head, "image \"…\"");
    let flavor = body.required(scope, Rule::flavor_stmt, head, "flavor \"…\"");
    let key = body.single(scope, &[Rule::key_stmt]);
    let setup = body.single(scope, &[Rule::setup_stmt]);
    let metadata = body.single(scope, &[Rule::metadata_block]);
    if let Some((_, sixth)) = body.all(Rule::balancer_stmt).nth(BALANCERS_MAX) {
        scope.over(sixth.span(), format!("more than {BALANCERS_MAX} load balancers"));
    }
    let texts = |rule: Rule| body.all(rule).flat_map(|(_, node)| node.all(Rule::string)).map(string).collect();
    Launch {
        name: head.one(Rule::name).map(|name| name.text.to_owned()).unwrap_or_default(),
        image: image.map(string).unwrap_or_default(),
        flavor: flavor.map(string).unwrap_or_default(),
        key: key.map(string),
        networks: texts(Rule::network_stmt),
        zones: texts(Rule::zone_stmt),
        volumes: body.all(Rule::volume_stmt).filter_map(|(_, node)| volume(scope, node)).collect(),
        setup: setup.and_then(|node| beside(scope, node)),
        balancers: body.all(Rule::balancer_stmt).filter_map(|(_, node)| balancer(scope, node)).collect(),
        metadata: metadata.map(|node| pairs(scope, node)).unwrap_or_default(),
    }
}

fn volume(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Volume> {
    let size = node.one(Rule::bytes_value)?;
    let bytes = scope.bytes(size)?;
    if bytes == 0 {
        scope.report(Diagnostic::error("E0314", size.span(), "a volume of no bytes"));
    }
    Some(Volume { bytes, kind: node.one(Rule::volume_kind).map(string), device: node.one(Rule::device).map(string) })
}

fn balancer(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<Balancer> {
    let port = scope.whole(node.one(Rule::int_value)?, "the port", 1, u32::from(u16::MAX))?;
    Some(Balancer { name: node.one(Rule::string).map(string)?, port: u16::try_from(port).ok()? })
}

/// The path of a file that travels with the policy: it stays in the policy's folder, on whatever machine that is.
fn beside(scope: &mut Scope<'_>, node: &Node<'_>) -> Option<String> {
    let path = string(node);
    let leaves =
        path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if leaves {
        let place = node.one(Rule::string).map_or(node.span(), Node::span);
        let error = Diagnostic::error("E0314", place, format!("`{path}` is not a file beside the policy"));
        scope.report(error.help("write a path below the policy's folder, such as `setup/web.sh`"));
        return None;
    }
    Some(path)
}

fn pairs(scope: &mut Scope<'_>, node: &Node<'_>) -> Vec<(String, String)> {
    let body = Body::of(node);
    scope.unique("metadata key", body.all(Rule::pair).filter_map(|(_, pair)| pair.kids.first()));
    let read = |(_, pair): (&str, &Node<'_>)| {
        let (key, value) = (pair.kids.first()?, pair.kids.get(1)?);
        let key = if key.rule == Rule::string { string(key) } else { key.text.to_owned() };
        Some((key, string(value)))
    };
    body.all(Rule::pair).filter_map(read).collect()
}
