/// The operations of the API. The scope that each requires is defined under `Policies/operations`.
package enum Operation: String, Hashable, Sendable, CaseIterable {
    case listJobs = "jobs.list"
    case readJob = "jobs.read"
    case previewPlan = "plans.preview"
    case execute = "jobs.execute"
    case cancelJob = "jobs.cancel"
    case retryJob = "jobs.retry"
    case listAgents = "agents.list"
    case startAgent = "agents.start"
    case readAgent = "agents.read"
    case typeToAgent = "agents.input"
    case stopAgent = "agents.stop"
    case getFiles = "files.get"
    case putFiles = "files.put"
    case readAudit = "audit.read"
}
