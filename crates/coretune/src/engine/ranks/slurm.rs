//! What SLURM says of the tasks of a job step.

/// The first host of a list such as `node[03-05,9],login1`: `node03`.
pub(super) fn first_host(list: &str) -> Option<String> {
    let end = list.find([',', '[']).unwrap_or(list.len());
    let (prefix, rest) = list.split_at(end);
    let Some(inside) = rest.strip_prefix('[') else {
        return Some(prefix.to_string()).filter(|host| !host.is_empty());
    };
    let first = inside.split([',', '-', ']']).next().filter(|number| !number.is_empty())?;
    let after = inside.split_once(']').map_or("", |(_, after)| after);
    let suffix = after.split(',').next().unwrap_or_default();
    Some(format!("{prefix}{first}{suffix}"))
}

/// Tasks of each node, from a list such as `4(x2),3`: 4, 4, 3.
pub(super) fn tasks_per_node(list: &str) -> Option<Vec<usize>> {
    let mut nodes = Vec::new();
    for entry in list.split(',') {
        let (tasks, times) = match entry.split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (entry, 1),
        };
        let tasks: usize = tasks.trim().parse().ok()?;
        nodes.extend(std::iter::repeat_n(tasks, times));
    }
    Some(nodes)
}

/// A port that the tasks of one job agree on, above those that need rights.
pub(super) fn port(job: u64) -> u16 {
    15_000 + (job % 15_000) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_list_is_written_out() {
        for (list, host) in [
            ("alone", Some("alone")),
            ("node03,node04", Some("node03")),
            ("node[03-05,9],login1", Some("node03")),
            ("rack1-n[7,9-12]", Some("rack1-n7")),
            ("n[001-004]-ib,x", Some("n001-ib")),
            ("", None),
            ("node[", None),
        ] {
            assert_eq!(first_host(list).as_deref(), host, "{list}");
        }
    }

    #[test]
    fn tasks_of_nodes_are_counted() {
        assert_eq!(tasks_per_node("4(x2),3"), Some(vec![4, 4, 3]));
        assert_eq!(tasks_per_node("2"), Some(vec![2]));
        assert_eq!(tasks_per_node("two"), None);
        assert_eq!(tasks_per_node("2(x"), None);
    }

    #[test]
    fn the_port_depends_on_the_job_alone() {
        assert_eq!(port(1_234_567), port(1_234_567));
        assert!((15_000..30_000).contains(&port(u64::MAX)));
    }
}
