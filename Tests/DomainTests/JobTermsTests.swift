import Domain
import Testing

@Suite("JobTerms")
struct JobTermsTests {
    @Test("terms are read as they were written", arguments: Priority.allCases, [nil, 1, UInt64(Int64.max)])
    func roundTrip(priority: Priority, time: UInt64?) {
        for key in [nil, "", "a key with \" and ü"] {
            let terms = JobTerms(priority: priority, runAt: time, deadline: time, uniqueKey: key)
            #expect(JobTerms(bytes: terms.bytes) == terms)
        }
    }

    @Test("a job without terms of its own stores nothing")
    func none() { #expect(JobTerms().bytes.isEmpty && JobTerms(bytes: []) == JobTerms()) }

    @Test(
        "what is malformed is left out",
        arguments: ["[]", "{", #"{"priority":9}"#, #"{"priority":"x","deadline":"y","unique_key":3}"#])
    func malformed(text: String) { #expect(JobTerms(bytes: Array(text.utf8)) == JobTerms()) }
}
