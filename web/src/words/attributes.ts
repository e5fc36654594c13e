/** The attributes of pictures that the bundled model knows. */

export const kindsZh: Record<string, string> = {
  portrait: "头像", character: "游戏角色", plant: "植物", planet: "行星", landscape: "风景", emoji: "物品",
  object: "物品", scene: "场景", view: "风光",
};

export const attributesZh: Record<string, string> = {
  style: "风格", background: "背景", skin: "肤色", hair: "头发", hair_color: "发色", eyes: "眼睛", eyebrows: "眉毛", mouth: "嘴",
  clothing: "衣服", clothing_color: "衣服颜色", accessory: "配饰", accessory_color: "配饰颜色", facial_hair: "胡子",
  facial_hair_color: "胡子颜色", headwear: "帽子", headwear_color: "帽子颜色", cheeks: "脸颊", earring: "耳环",
  earring_color: "耳环颜色", trousers: "裤子", trousers_color: "裤子颜色", shoes: "鞋", shoes_color: "鞋的颜色", body: "身体",
  body_color: "身体颜色", head_decoration: "头饰", head_decoration_color: "头饰颜色", pattern: "花纹", pattern_color: "花纹颜色",
  head: "头", head_color: "头的颜色", plant: "植物", plant_color: "植物颜色", pot: "花盆", pot_color: "花盆颜色", flower: "花",
  flower_color: "花的颜色", berries: "浆果", berries_color: "浆果颜色", planet_color: "行星颜色", surface: "表面", stars: "星星",
  moons: "卫星", ring: "光环", time_of_day: "时间", sky_color: "天空颜色", moon: "月亮", moon_color: "月亮颜色", terrain: "地形",
  terrain_color: "地形颜色", sun: "太阳", sun_color: "太阳颜色", water: "水", water_color: "水的颜色", name: "东西",
  place: "地点", season: "季节", weather: "天气", land: "地面", relief: "远景", relief_color: "远景颜色", river: "河流", path: "小路",
  clouds: "云", aurora: "极光", aurora_color: "极光颜色", shooting_star: "流星", birds: "飞鸟", plants: "植物",
  plants_color: "植物颜色", flowers: "花", flowers_color: "花的颜色", building: "建筑", building_color: "建筑颜色",
  vehicle: "交通工具", vehicle_color: "交通工具颜色", animal: "动物", animal_color: "动物颜色", prop: "物件", prop_color: "物件颜色",
  planet: "行星", object: "东西",
};
