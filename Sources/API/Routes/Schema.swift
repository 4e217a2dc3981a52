internal import Domain
internal import Jobs
internal import Policy

/// The JSON Schemas (2020-12) of what the API takes and gives, for the OpenAPI document.
enum Schema {
    static let uuid: JSONValue = [
        "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    ]
    /// Version 7, as jobs have it (RFC 9562).
    static let jobID: JSONValue = [
        "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    ]
    static let offset: JSONValue = ["type": "integer", "minimum": 0, "maximum": .integer(1 << 50 - 1)]
    static let time: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    static let text: JSONValue = ["type": "string"]
    static let count: JSONValue = ["type": "integer", "minimum": 0]
    static let cursor: JSONValue = ["type": ["string", "null"]]
    static var priorities: JSONValue {
        ["type": "string", "enum": .array(Priority.allCases.map { .string($0.name) })]
    }
    static var states: JSONValue {
        ["type": "string", "enum": .array(JobState.allCases.map { .string($0.rawValue) })]
    }

    static func integer(_ range: ClosedRange<Int64>) -> JSONValue {
        ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
    }

    static func string(_ range: ClosedRange<Int64>) -> JSONValue {
        ["type": "string", "minLength": .integer(range.lowerBound), "maxLength": .integer(range.upperBound)]
    }

    /// A name as identifiers are: see `NameRule`.
    static func name(_ longest: Int64, extra: String = "_.-") -> JSONValue {
        [
            "type": "string", "maxLength": .integer(longest),
            "pattern": .string("^[a-z0-9]([a-z0-9\(extra)]*[a-z0-9])?$"),
        ]
    }

    static func list(_ items: JSONValue, most: Int64? = nil) -> JSONValue {
        var members = [JSONMember("type", "array"), JSONMember("items", items)]
        if let most { members.append(JSONMember("maxItems", .integer(most))) }
        return .object(members)
    }

    static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    /// A closed object; members whose names end in `?` may be missing.
    static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        var (properties, required): ([JSONMember], [JSONValue]) = ([], [])
        for (name, schema) in members {
            let isOptional = name.hasSuffix("?")
            let plain = isOptional ? String(name.dropLast()) : name
            properties.append(JSONMember(plain, schema))
            if !isOptional { required.append(.string(plain)) }
        }
        return [
            "type": "object", "properties": .object(properties), "required": .array(required),
            "additionalProperties": false,
        ]
    }

    private static let anyObject: JSONValue = ["type": "object"]

    static var components: JSONValue {
        let job = self.object([
            "job_id": self.uuid, "action": self.text, "state": self.states, "submitted_at": self.time,
            "started_at": self.time, "finished_at": self.time, "failures": self.count, "crashes": self.count,
            "node": self.text, "reason": self.text, "tags": self.list(self.text),
            "priority?": self.priorities, "run_at?": self.time, "deadline?": self.time, "unique_key?": self.cursor,
            "progress?": self.object(["percent": self.count, "text": self.text, "time": self.time]),
            "result?": .bool(true),
        ])
        return .object([
            JSONMember("Job", job),
            JSONMember("JobPage", self.object(["jobs": self.list(self.reference("Job")), "next": self.cursor])),
            JSONMember("ExecuteRequest", self.executeRequest),
            JSONMember(
                "Accepted",
                self.object([
                    "job_id": self.uuid, "client_request_id": self.uuid, "duplicate": ["type": "boolean"],
                    "state?": self.states,
                ])),
            JSONMember("Cancelled", self.object(["job_id": self.uuid, "state_before": self.states])),
            JSONMember("Retried", self.object(["job_id": self.uuid, "state": self.states])),
            JSONMember("PlanRequest", self.object(["steps": self.steps])),
            JSONMember("Plan", self.plan),
            JSONMember("AgentRequest", self.agentRequest),
            JSONMember("AgentList", self.object(["agents": self.list(self.listedAgent), "next": self.cursor])),
            JSONMember("Agent", self.agent),
            JSONMember("Message", self.message), JSONMember("Receipt", self.receipt),
            JSONMember("AuditPage", self.object(["events": self.list(self.anyObject), "next": self.cursor])),
            JSONMember("ProtectedResource", self.anyObject),
            JSONMember("Problem", self.problem),
        ])
    }

    private static var executeRequest: JSONValue {
        let request = self.object([
            "action": self.name(64, extra: "_."), "params": self.anyObject, "client_request_id": self.uuid,
            "priority?": ["type": "string", "enum": ["high", "normal", "low"]],
            "delay_seconds?": self.integer(0...31_622_400), "run_at?": ["type": "string", "format": "date-time"],
            "deadline?": ["type": "string", "format": "date-time"], "unique_key?": self.string(1...256),
            "tags?": self.list(self.name(63), most: 8),
        ])
        let exclusive: JSONValue = ["required": ["delay_seconds", "run_at"]]
        return .object((request.members ?? []) + [JSONMember("not", exclusive)])
    }

    private static var steps: JSONValue {
        let step = self.object([
            "id": self.name(63, extra: "_-"), "action": self.name(64, extra: "_."), "params": self.anyObject,
            "depends_on?": self.list(self.name(63, extra: "_-")),
        ])
        return ["type": "array", "items": step, "minItems": 1, "maxItems": .integer(Int64(Plan.limit))]
    }

    private static var plan: JSONValue {
        let decision = self.object([
            "id": self.text, "decision": ["type": "string", "enum": ["allow", "deny"]], "rule": self.text,
            "reason": self.text,
        ])
        return self.object([
            "allowed": ["type": "boolean"], "steps": self.list(decision), "order": self.list(self.text),
        ])
    }

    private static var agentRequest: JSONValue {
        self.object([
            "agent": self.name(63, extra: "_-"), "prompt": self.string(1...32_768), "client_request_id": self.uuid,
        ])
    }

    private static var listedAgent: JSONValue {
        self.object([
            "agent_id": self.uuid, "job_state": self.states, "node": self.text, "submitted_at": self.time,
        ])
    }

    private static var agent: JSONValue {
        self.object([
            "agent_id": self.uuid, "state": self.text, "evidence": self.text, "job_state": self.states,
            "launches": self.count, "submitted_at": self.time, "exit_status": ["type": ["integer", "null"]],
        ])
    }

    private static var message: JSONValue {
        self.object([
            "text": self.text, "message_id": self.uuid,
            "until?": ["type": "string", "enum": ["queued", "written", "consumed", "answered"]],
        ])
    }

    private static var receipt: JSONValue {
        self.object(["message_id": self.uuid, "stage": self.text, "log_offset": self.count, "reason": self.text])
    }

    private static var problem: JSONValue {
        self.object([
            "type": self.text, "title": self.text, "status": self.integer(400...599), "detail": self.text,
            "request_id": self.text,
        ])
    }
}
