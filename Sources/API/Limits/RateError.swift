/// Redis did not answer whether there is room.
struct RateError: Error {}
