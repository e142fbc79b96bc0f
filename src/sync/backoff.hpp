#pragma once
// When to try again after a passing trouble.

#include <optional>

#include <poster/run.hpp>

namespace poster {

// 1, 2, 4 … seconds up to 10 minutes, each ±25 % at random so that many machines do not come back together; as the
// remote asks where it does. `tries`: how many there have been, at least 1.
Milliseconds wait_after(int tries, std::optional<Milliseconds> asked_for);

} // namespace poster
