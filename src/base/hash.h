// SHA-256 (OpenSSL): identity of files and tensors.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace nibble {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(std::span<const std::byte> bytes);
  // 64 lower-case hex digits. The object is spent afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace nibble
