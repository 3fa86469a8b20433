#include "nn/layers/parameter.h"

#include "nn/kernels/elementwise.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/random.h"

namespace retape::nn {

Parameter::Parameter(Device& device, std::string name, const Shape& shape, DType dtype)
    : name_(std::move(name)),
      weight_(device, shape, DType::f32, Tag::parameters),
      working_(dtype == DType::f32 ? weight_ : Tensor(device, shape, dtype, Tag::parameters)) {
  require<ShapeError>(dtype == DType::f32 || dtype == DType::bf16, "[parameter] {}: expected f32 or bf16, got {}",
                      name_, nn::name(dtype));
}

void Parameter::fill(Context& context, float value) {
  load(context, std::vector<float>(static_cast<std::size_t>(elems()), value));
}

void Parameter::fill_normal(Context& context, double stddev, const RngRange& rng) {
  launch(context, NormalFill{.out = weight_.data_as<float>(), .elems = elems(), .stddev = stddev, .rng = rng});
  weight_changed(context);
}

void Parameter::load(Context& context, std::span<const float> values) {
  weight_.from_host(values);
  weight_changed(context);
}

void Parameter::weight_changed(Context& context) {
  note_write();
  if (working_.storage() != weight_.storage()) {
    launch(context, Scale{.x = weight_.data(),
                          .out = working_.data(),
                          .elems = elems(),
                          .in = DType::f32,
                          .out_dtype = working_.dtype()});
  }
}

void Parameter::note_write() {
  weight_.note_write();
  working_.note_write();
}

void clear_gradients(const Parameters& parameters) {
  for (Parameter* parameter : parameters) {
    parameter->gradient().gradient = Tensor();
  }
}

}  // namespace retape::nn
