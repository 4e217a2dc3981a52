/// Every metric of the product with its help text. A metric that is not here is not published, so names, types and labels
/// are a closed set. No workspace, user or job is ever a label.
package enum MetricCatalogue {
    /// The types of Prometheus.
    package enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
    }

    /// The type of a metric and its help text.
    package struct Entry: Sendable {
        package let kind: Kind
        package let help: String
    }

    /// Upper bounds in seconds: from a no-op to an hour.
    package static let buckets: [Double] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800, 3600]

    package static let entries: [String: Entry] = [
        "orchestra_jobs_total": Entry(
            kind: .counter, help: "Runs of jobs that ended on this node, by action and outcome."),
        "orchestra_job_duration_seconds": Entry(kind: .histogram, help: "Time from the start of a run to its end."),
        "orchestra_job_wait_seconds": Entry(
            kind: .histogram, help: "Time from the submission of a job to the start of a run."),
        "orchestra_jobs_in_flight": Entry(kind: .gauge, help: "Jobs that this node holds, running or waiting to run."),
        "orchestra_queue_lag": Entry(kind: .gauge, help: "Entries of the lane that no node has claimed yet."),
        "orchestra_queue_oldest_age_seconds": Entry(kind: .gauge, help: "Age of the oldest entry of the lane."),
        "orchestra_queue_pending": Entry(kind: .gauge, help: "Entries that nodes hold now."),
        "orchestra_queue_delayed": Entry(kind: .gauge, help: "Jobs that are scheduled or wait for a retry."),
        "orchestra_queue_workspaces_at_limit": Entry(
            kind: .gauge, help: "Workspaces whose jobs wait because of a limit."),
        "orchestra_queue_idempotency_hits": Entry(
            kind: .gauge, help: "Requests answered with an earlier job, since Redis was empty."),
        "orchestra_queue_refused": Entry(
            kind: .gauge, help: "Requests refused because a workspace had too many waiting jobs, since Redis was empty."
        ),
        "orchestra_queue_dead_letters_dropped": Entry(
            kind: .gauge, help: "Dead letters dropped because a workspace had too many, since Redis was empty."),
        "orchestra_job_retries_total": Entry(kind: .counter, help: "Runs that ended with another attempt to come."),
        "orchestra_claims_total": Entry(kind: .counter, help: "Entries claimed, by reason."),
        "orchestra_jobs_lost_total": Entry(
            kind: .counter, help: "Waiting jobs that this node ended because Redis lost their entries."),
        "orchestra_queue_entries_refused": Entry(
            kind: .gauge, help: "Entries of jobs that ran or had ended, found and removed, since Redis was emptied."),
        "orchestra_queue_workspaces_home_away": Entry(
            kind: .gauge, help: "Workspaces with work whose home is away."),
        "orchestra_dead_letters_total": Entry(kind: .counter, help: "Jobs given up on by this node, by reason."),
        "orchestra_audit_rows_total": Entry(kind: .counter, help: "Audit rows written together with an outcome."),
        "orchestra_workspace_copies_total": Entry(
            kind: .counter, help: "Copies of workspaces' files that this node made."),
        "orchestra_workspace_copy_failures_total": Entry(
            kind: .counter, help: "Copies of workspaces' files that failed; the earlier copy stays."),
        "orchestra_archive_rows_total": Entry(kind: .counter, help: "Audit events that this node archived."),
        "orchestra_archive_failures_total": Entry(
            kind: .counter, help: "Attempts to archive audit events that failed."),
        "orchestra_archive_lag_entries": Entry(
            kind: .gauge, help: "Entries of the audit trails that are not archived yet; 0 on nodes that do not archive."
        ),
        "orchestra_archive_lag_seconds": Entry(
            kind: .gauge,
            help:
                "Age of the oldest audit entry that is not archived, or the time since archiving last succeeded; 0 when there is none."
        ),
        "orchestra_redis_up": Entry(kind: .gauge, help: "1 while the connection to Redis is open."),
        "orchestra_redis_reconnects_total": Entry(kind: .counter, help: "Connections made again after one was lost."),
        "orchestra_supervisor_restarts_total": Entry(
            kind: .counter, help: "Restarts of supervised children, by supervisor and by how they ended."),
        "orchestra_supervisor_give_ups_total": Entry(
            kind: .counter, help: "Supervisors that exceeded their restart intensity, by supervisor."),
        "orchestra_supervisor_leaks_total": Entry(
            kind: .counter, help: "Children that ignored their cancellation, by supervisor."),
        "orchestra_egress_requests_total": Entry(
            kind: .counter, help: "Requests of sandboxes to the outside, by kind of listener and decision."),
        "orchestra_model_tokens_total": Entry(
            kind: .counter, help: "Tokens of calls of models that ended, by provider and kind, estimates included."),
        "orchestra_model_cost_microdollars_total": Entry(
            kind: .counter, help: "Cost of calls of models by the price table, in millionths of a dollar, by provider."),
        "orchestra_budget_shares_total": Entry(
            kind: .counter, help: "Shares of budgets that were reached, by percent: 80, 95 or 100."),
        "orchestra_agents": Entry(kind: .gauge, help: "Agents of this node by state."),
        "orchestra_sandbox_tier": Entry(
            kind: .gauge,
            help: "Tier of the sandbox that this host supports, 0 (none) to 4 (own users and control groups)."),
        "orchestra_escape_attempts": Entry(
            kind: .gauge, help: "Attempts of the escape test at the node's start, by result."),
        "orchestra_security_events_total": Entry(
            kind: .counter, help: "Security events of agents that the watch detected, by kind."),
        "orchestra_auth_total": Entry(
            kind: .counter, help: "Credentials that were checked, by method and result."),
        "orchestra_rate_limited_total": Entry(
            kind: .counter, help: "Requests and messages refused because there were too many."),
        "orchestra_audit_failures_total": Entry(
            kind: .counter, help: "Requests refused because the audit trail could not be written."),
        "orchestra_api_requests_total": Entry(
            kind: .counter, help: "Requests to the API, by operation and status."),
        "orchestra_api_request_duration_seconds": Entry(
            kind: .histogram, help: "Time from the head of a request to the head of its response."),
        "orchestra_api_streams": Entry(kind: .gauge, help: "Streams and WebSockets that are open."),
        "orchestra_tls_certificate_expiry_timestamp_seconds": Entry(
            kind: .gauge, help: "When the certificate of the API expires."),
        "orchestra_log_lines_dropped_total": Entry(
            kind: .counter, help: "Log lines that could not be written."),
        "orchestra_metric_series_dropped_total": Entry(
            kind: .counter, help: "Metric handles that are not published because there are too many series."),
        "orchestra_build_info": Entry(kind: .gauge, help: "Always 1; the labels name the build."),
    ]
}
