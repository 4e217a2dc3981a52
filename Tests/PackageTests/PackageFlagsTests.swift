import Testing

@Suite("The compiler flags")
struct PackageFlagsTests {
    @Test("every flag of the manifest is on: a misspelled one would be off without a word")
    func flagsAreOn() {
        var missing: [String] = []
        #if !hasFeature(ExistentialAny)
            missing.append("ExistentialAny")
        #endif
        #if !hasFeature(MemberImportVisibility)
            missing.append("MemberImportVisibility")
        #endif
        #if !hasFeature(InternalImportsByDefault)
            missing.append("InternalImportsByDefault")
        #endif
        #if !hasFeature(NonisolatedNonsendingByDefault)
            missing.append("NonisolatedNonsendingByDefault")
        #endif
        #if !hasFeature(InferIsolatedConformances)
            missing.append("InferIsolatedConformances")
        #endif
        #if !hasFeature(ImmutableWeakCaptures)
            missing.append("ImmutableWeakCaptures")
        #endif
        #if !hasFeature(StrictMemorySafety)
            missing.append("StrictMemorySafety")
        #endif
        #if swift(<6.3)
            missing.append("language mode 6")
        #endif
        #expect(missing == [])
    }
}
