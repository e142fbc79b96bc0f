#pragma once

namespace poster {

// Thrown where Progress::cancelled() was seen: nothing more is told of what is under way.
struct Cancelled {};

} // namespace poster
